"""Writes crates/glass/tests/golden/chat/talks.json: conversations with calls, parts, reasoning and documents, in transformers.

The templates are small and our own; each has what templates of today's models need. Run: python tools/chat_talks.py
"""

from datetime import timezone

from jinja2 import TemplateError
from transformers.utils import chat_template_utils

from chat_goldens import Clock, tiny_tokenizer, write

TEMPLATES = {
    # Texts as parts, folded into one; the assistant has a name of its own; a system turn goes before the first request.
    "parts": """{{ bos_token }}
{%- set begin = 1 if messages[0].role == 'system' else 0 -%}
{%- for turn in messages[begin:] -%}
  {%- if (turn['role'] == 'user') == (loop.index0 % 2 == 1) -%}
    {{ raise_exception("user and assistant take turns") }}
  {%- endif -%}
  {{ '<of ' ~ ('model' if turn.role == 'assistant' else turn.role) ~ '>\\n' }}
  {%- if loop.first and begin -%}
    {%- set first = messages[0].content -%}
    {{ (first if first is string else first[0]['text']) ~ '\\n\\n' }}
  {%- endif -%}
  {%- if turn.content is string -%}
    {{ turn.content | trim }}
  {%- elif turn.content is iterable -%}
    {%- for part in turn.content -%}
      {%- if part['type'] == 'text' -%}{{ part['text'] | trim }}{%- else -%}{{ '<' ~ part.type ~ '>' }}{%- endif -%}
    {%- endfor -%}
  {%- else -%}
    {{ raise_exception('a content of another kind') }}
  {%- endif -%}
  {{ '</of>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<of model>\\n' }}{%- endif -%}
""",
    # Tools as lines of JSON, calls as JSON, answers of tools gathered in one turn of the user.
    "calls": """{%- if tools %}
    {{- '<|system|>' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n' }}{%- endif %}
    {{- 'You may call:' }}
    {%- for tool in tools %}
        {{- '\\n' }}{{- tool | tojson }}
    {%- endfor %}
    {{- '<|end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|system|>' + messages[0].content + '<|end|>\\n' }}
{%- endif %}
{%- for m in messages %}
    {%- if m.role == 'user' or (m.role == 'system' and not loop.first) %}
        {{- '<|' + m.role + '|>' + m.content + '<|end|>\\n' }}
    {%- elif m.role == 'assistant' %}
        {{- '<|assistant|>' }}
        {%- if m.content %}{{- m.content }}{%- endif %}
        {%- for call in m.tool_calls or [] %}
            {%- if (loop.first and m.content) or not loop.first %}{{- '\\n' }}{%- endif %}
            {%- if call.function is defined %}{%- set call = call.function %}{%- endif %}
            {{- '<call>{"name": "' ~ call.name ~ '", "arguments": ' }}
            {{- call.arguments if call.arguments is string else call.arguments | tojson }}
            {{- '}</call>' }}
        {%- endfor %}
        {{- '<|end|>\\n' }}
    {%- elif m.role == 'tool' %}
        {%- if loop.previtem is undefined or loop.previtem.role != 'tool' %}{{- '<|user|>' }}{%- endif %}
        {{- '\\n<result>' }}{{- m.content }}{{- '</result>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}
""",
    # Reasoning: only after the last question, from its field or from the text; a switch closes it at once.
    "reasoning": """{%- set state = namespace(search=true, last=messages|length - 1) %}
{%- for m in messages[::-1] %}
    {%- set place = (messages|length - 1) - loop.index0 %}
    {%- if state.search and m.role == 'user' and m.content is string and not (m.content.startswith('<result>') and m.content.endswith('</result>')) %}
        {%- set state.search = false %}
        {%- set state.last = place %}
    {%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {%- set said = m.content if m.content is string else '' %}
        {%- set why = '' %}
        {%- if m.reasoning_content is string %}
            {%- set why = m.reasoning_content %}
        {%- elif '</think>' in said %}
            {%- set why = said.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set said = said.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > state.last and (loop.last or why) %}
            {{- '[assistant]\\n<think>\\n' + why.strip('\\n') + '\\n</think>\\n\\n' + said.lstrip('\\n') }}
        {%- else %}
            {{- '[assistant]\\n' + said }}
        {%- endif %}
        {{- '[end]\\n' }}
    {%- else %}
        {{- '[' + m.role + ']\\n' + (m.content if m.content is string else m.content|map(attribute='text')|join) + '[end]\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '[assistant]\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    # Today's date, tools with an indent, a default for what the caller leaves out, documents, a chain of joined texts.
    "preface": """{%- if strftime_now is defined %}{% set today = strftime_now("%d %b %Y") %}{% else %}{% set today = '26 Jul 2024' %}{% endif %}
{%- if not date_string is defined %}{% set date_string = today %}{% endif %}
{%- set mode = reasoning_effort | default('low') %}
{%- set asked = messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | list %}
<<sys>>
Today is {{ date_string }} ({{ strftime_now('%B %d, %Y') }}). Mode: {{ mode|upper }}.
{% if asked and asked[0] is string -%}
{{ asked[0] | replace('/no_think', '') | trim }}
{% endif %}
{%- if tools is not none and tools %}
{{ '# Tools' }}
{% for tool in tools %}
{%- set f = tool.function if tool.function is defined else tool %}
{{ f | tojson(indent=4) }}
{% for name, what in f.parameters.properties.items() %}
- {{ name }} ({{ what.type if what.type is string else what.type | join(' or ') }}
{%- if name in (f.parameters.required or []) %}, required{% endif %}
{%- if what.enum %}, one of {{ what.enum | join(', ') }}{% endif %}
{%- if what.default is defined %}, {{ what.default }} by default{% endif %})
{%- else %}
(takes nothing)
{%- endfor %}
{% endfor %}
{% endif %}
{%- if documents %}
{% for document in documents %}
<doc id="{{ loop.index }}" title={{ document['title'] | tojson }}>{{ document.text | default('') }}</doc>
{% endfor %}
{% endif %}
<</sys>>
{% for m in messages if m.role != 'system' %}
{{ loop.index }}. {{ m.role }}: {{ m['content'] | string if m['content'] is defined else '(nothing)' }}
{% endfor %}
""",
    # Types of arguments, as in a declaration: a macro that calls itself.
    "declarations": """{%- macro kind(spec) -%}
  {%- if spec.type is string and spec.type == 'array' -%}{{ kind(spec['items'] or {'type': 'any'}) ~ '[]' }}
  {%- elif spec.enum is defined -%}{{ spec.enum | map('tojson') | join(' | ') }}
  {%- elif spec.type == 'object' and spec.properties -%}
    {%- set fields = [] -%}{ {%- for name, inner in spec.properties | dictsort -%}{{ name }}: {{ kind(inner) }}{{ '; ' if not loop.last }}{%- endfor -%} }
  {%- elif spec.type is not string and spec.type is iterable -%}{{ spec.type | join(' | ') }}
  {%- else -%}{{ {'integer': 'number', 'boolean': 'bool'}.get(spec.type, spec.type) }}{%- endif -%}
{%- endmacro -%}
{%- for tool in tools or [] %}
{%- set f = tool.function %}
{{ '// ' ~ f.description.splitlines()[0] }}
type {{ f.name }} = (_: {{ kind(f.parameters) }}) => any;
{%- endfor %}
{% for m in messages %}
{%- if m.tool_calls is defined and m.tool_calls is not none and m.tool_calls|length > 0 %}
{%- for call in m.tool_calls %}
{%- if call.id|length != 9 %}{{ raise_exception('an id has nine letters, not ' ~ call.id|length) }}{% endif %}
{{ m.role }} calls {{ call.function.name }}(
{%- if call.function.arguments is mapping %}
{%- for key, value in call.function.arguments.items() %}{{ key }}={{ value | tojson(ensure_ascii=false) }}{% if not loop.last %}, {% endif %}{% endfor %}
{%- else %}{{ call.function.arguments }}{% endif %})
{% endfor %}
{%- elif m.role in ['tool', 'environment', 'ipython'] %}
{{ m.name | default(m.tool_call_id, true) }} -> {{ m.content if m.content is string else m.content[0].text }}
{% else %}
{{ m.role }}{% if m.thinking %} ({{ m.thinking }}){% endif %}: {% generation %}{{ m.content or m.function_calls }}{% endgeneration %}

{% endif %}
{%- endfor %}
""",
}

WEATHER = {"type": "function", "function": {"name": "weather", "description": "Tells the weather.\nOf a city.", "parameters": {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "As in \"Zürich\" & <b>"},
        "days": {"type": "integer", "default": 3},
        "scale": {"type": "string", "enum": ["celsius", "kelvin"]},
        "near": {"type": "array", "items": {"type": "string"}},
        "at": {"type": "object", "properties": {"y": {"type": ["number", "null"]}, "x": {"type": "number"}}},
    },
    "required": ["city"],
}}}
NOTHING = {"type": "function", "function": {"name": "nothing", "description": "Does nothing.", "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, id="abcdef123"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def say(role, content=None, **more):
    return {"role": role, **({} if content is None else {"content": content}), **more}


def text(*texts):
    return [{"type": "text", "text": one} for one in texts]


ARGUMENTS = {"city": "Zürich", "days": 2, "near": ["Bern", 'a "b"'], "at": {"x": 1.5, "y": None}, "dry": True}
QUESTION = say("user", "Weather in Zürich?")
RESULT = say("tool", '{"sky": "blue"}', name="weather", tool_call_id="abcdef123")
TALKS = [
    {"messages": [say("system", " You are terse. /no_think"), say("user", " Hi "), say("assistant", "\nHello\n"), say("user", "Bye")]},
    {"messages": [say("system", text("Be kind.")), say("user", text(" What is ", "this?\n")), say("assistant", text("A fox."))]},
    {"messages": [say("user", [{"type": "image"}, *text("And this?")])]},
    {"messages": [say("user", "a"), say("user", "b")]},
    {"messages": [QUESTION], "variables": {"tools": [WEATHER, NOTHING]}},
    {"messages": [say("system", "Be terse."), QUESTION, say("assistant", "", tool_calls=[call("weather", ARGUMENTS)]), RESULT], "variables": {"tools": [WEATHER]}},
    {"messages": [QUESTION, say("assistant", tool_calls=[call("weather", '{"city": "Bern"}'), call("nothing", {}, "short")]), RESULT, say("tool", "", tool_call_id="short"), say("assistant", "Blue.")], "variables": {"tools": [WEATHER, NOTHING]}},
    {"messages": [QUESTION, say("assistant", "I look.", reasoning_content="A tool knows.", tool_calls=[call("weather", ARGUMENTS)]), say("tool", text("blue"), name="weather")], "variables": {"tools": [WEATHER], "enable_thinking": True}},
    {"messages": [say("user", "2 + 2?"), say("assistant", "4", reasoning="Two and two."), say("user", "And 3?"), say("assistant", "<think>\nHm\n</think>\n\n5")], "variables": {"enable_thinking": False}},
    {"messages": [say("user", "2 + 2?"), say("assistant", "4", thinking="Easy."), say("user", "<result>5</result>"), say("assistant", "5", reasoning_content="\nOne more.\n")]},
    {"messages": [say("user", "Bears?")], "variables": {"enable_thinking": False, "reasoning_effort": "high", "date_string": "01 Feb 2025", "documents": [{"title": 'Bern & "arcades"', "text": "Bears."}, {"title": "Zürich"}]}},
    {"messages": [say("user", "Weather?"), say("assistant", function_calls='weather(city="Bern")'), say("environment", "rain")], "variables": {"tools": []}},
]


def rendered(tokenizer, template, talk, **how):
    try:
        return {"text": tokenizer.apply_chat_template(talk["messages"], chat_template=template, tokenize=False, **talk.get("variables", {}), **how)}
    except TemplateError as error:
        # An UndefinedError has words of Python's; what the template itself raises is the same everywhere.
        return {"raised" if type(error) is TemplateError else "error": str(error)}
    except Exception as error:
        return {"error": str(error)}


def main():
    chat_template_utils.datetime = Clock
    _, tokenizer = tiny_tokenizer()
    cases = [
        {"template": name, "talk": index, **how, **rendered(tokenizer, template, talk, **how)}
        for name, template in TEMPLATES.items()
        for index, talk in enumerate(TALKS)
        for how in ({"add_generation_prompt": False}, {"add_generation_prompt": True}, {"continue_final_message": True})
    ]
    now = int(Clock.now().replace(tzinfo=timezone.utc).timestamp())
    write("talks", {"now": now, "templates": TEMPLATES, "talks": TALKS, "cases": cases})


if __name__ == "__main__":
    main()
