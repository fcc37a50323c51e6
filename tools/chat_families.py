"""Templates of our own that use what the templates of published chat models use, and what they are rendered with.

`chat_goldens.py` writes what transformers renders to families.json.
"""

from chat_templates import CONVERSATIONS, TOKENS

TEMPLATES = {
    # Earlier thoughts are left out; a switch opens the answer with an empty thought.
    "thinking": """{%- set place = namespace(last=messages|length - 1, found=false) %}
{%- for message in messages[::-1] %}
    {%- set index = messages|length - 1 - loop.index0 %}
    {%- if not place.found and message.role == 'user' and message.content is string and not message.content.startswith('<result>') %}
        {%- set place.found = true %}
        {%- set place.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- set thought = '' %}
    {%- if message.role == 'assistant' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
    {%- endif %}
    {{- '<|turn|>' + message.role + '\\n' }}
    {%- if loop.index0 > place.last and (loop.last or thought) %}
        {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
    {%- else %}
        {{- content }}
    {%- endif %}
    {{- '<|over|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|turn|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    # Functions, calls and results, neighbouring results in one turn; the date.
    "calls": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now('%d %b %Y') if strftime_now is defined else '26 Jul 2024' %}
{%- endif %}
{%- set builtin_tools = builtin_tools if builtin_tools is defined else none %}
{{- '<|turn|>system\\nToday: ' ~ date_string ~ '\\n' }}
{%- if messages[0]['role'] == 'system' %}
    {{- messages[0]['content']|trim ~ '\\n' }}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- if builtin_tools %}
    {{- 'Built in: ' + builtin_tools | reject('equalto', 'python') | join(', ') + '\\n' }}
{%- endif %}
{%- for tool in tools or [] %}
    {{- tool | tojson(indent=4) }}
    {%- for name, one in tool.function.parameters.properties.items() %}
        {{- '\\n' ~ loop.index ~ '. ' ~ name ~ ': ' ~ (one.type if one.type is string else one.type | join(' or ')) }}
        {{- ' = ' ~ one.default if one.default is defined }}
        {{- ' *' if name in tool.function.parameters.required | default([]) }}
    {%- endfor %}
{%- endfor %}
{{- '<|over|>' }}
{%- for message in messages %}
    {%- if message.role in ['tool', 'environment'] %}
        {%- if loop.first or messages[loop.index0 - 1].role != message.role %}
            {{- '<|turn|>results' }}
        {%- endif %}
        {{- '\\n' + (message.content if message.content is string else message.content | tojson) }}
        {%- if loop.last or loop.nextitem.role != message.role %}
            {{- '<|over|>' }}
        {%- endif %}
    {%- elif message.tool_calls %}
        {{- '<|turn|>' + message.role }}
        {%- for call in message.tool_calls %}
            {%- if call.function %}
                {%- set call = call.function %}
            {%- endif %}
            {{- '\\n{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments if call.arguments is string else call.arguments | tojson }}
            {{- '}' }}
        {%- endfor %}
        {{- '<|over|>' }}
    {%- else %}
        {{- '<|turn|>' + message.role + '\\n' + message.content | trim + '<|over|>' }}
    {%- endif %}
{%- endfor %}
{{- '<|turn|>assistant\\n' if add_generation_prompt }}
""",
    # Contents that are texts or parts; the system turn before the first question; roles must alternate.
    "parts": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set before = (messages[0]['content'] if messages[0]['content'] is string else messages[0]['content'][0]['text']) + '

' -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set before = "" -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- for turn in turns -%}
    {%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Roles must alternate; " ~ turn.role ~ " is turn " ~ loop.index) }}
    {%- endif -%}
    {{ '<turn>' + ('model' if turn['role'] == 'assistant' else turn['role']) + '
' + (before if loop.first else "") }}
    {%- if turn['content'] is string -%}
        {{ turn['content'] | trim }}
    {%- elif turn['content'] is iterable -%}
        {%- for part in turn['content'] | rejectattr('type', 'equalto', 'image') -%}
            {{ part['text'] | trim }}
        {%- endfor -%}
        {{ '<picture>' * (turn['content'] | selectattr('type', 'equalto', 'image') | list | length) }}
    {%- else -%}
        {{ raise_exception("Neither a text nor parts") }}
    {%- endif -%}
    {{ '<end>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<turn>model
'}}
{%- endif -%}
""",
    # Documents, a macro, a block that is learned, and loop controls.
    "documents": """{%- macro shown(document, number) -%}
    {{ number }}. {{ document.title | default('untitled', true) | upper }}: {{ document['text'] | replace('&', 'and') }}
{% endmacro %}
{%- if documents %}
{{- 'Read:\\n' }}
{%- for document in documents %}{{ shown(document, number=loop.index) }}{% endfor %}
{%- endif %}
{%- for message in messages if message.role != 'system' %}
    {%- if message.role == 'tool' %}{% continue %}{% endif %}
    {%- if message.role == 'narrator' %}{% break %}{% endif %}
    {{- message.role | title ~ ': ' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}{{ message.content or '...' }}{{ eos_token }}{% endgeneration %}
    {%- else %}
        {{- message.content }}
    {%- endif %}
    {{- '\\n' }}
{%- else %}
    {{- 'Nobody speaks.' }}
{%- endfor %}
{%- if controls is mapping and controls.length is defined %}{{ 'Length: ' ~ controls['length'] }}{% endif %}
{{- 'Assistant:' if add_generation_prompt }}
""",
}

SWITCHES = [
    {},
    {"enable_thinking": False, "date_string": "01 Feb 2025"},
    {"builtin_tools": ["browser", "python"], "documents": [{"title": "Bern", "text": "Bears & arcades."}, {"text": "A lake."}], "controls": {"length": "short"}},
]


def cases():
    """Every conversation with every template; the switches and the prompt in turn, to keep the file small."""
    number = 0
    for name in TEMPLATES:
        for title, (messages, tools) in CONVERSATIONS.items():
            variables = {**TOKENS, **SWITCHES[number % 3]}
            yield {"template": name, "title": title, "messages": messages, "tools": tools, "prompt": number % 2 == 0, "variables": variables}
            number += 1
