"""Writes crates/glass/tests/golden/chat/: the output of transformers' apply_chat_template for templates in each common style.

Needs `transformers` and `tokenizers`; downloads nothing. Run from anywhere: python tools/chat_goldens.py
"""

import json
from datetime import datetime, timezone
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

import chat_families
from chat_features import EDGES, FEATURES, VARIABLES
from chat_templates import rendered as whole

FOLDER = Path(__file__).resolve().parent.parent / "crates/glass/tests/golden/chat"
BOS, EOS = "<|bos|>", "<|eos|>"

TEMPLATES = {
    # ChatML, with a system prompt if none is given.
    "chatml": """{% if not messages or messages[0].role != 'system' %}
<|im_start|>system
You answer in short sentences.<|im_end|>
{% endif %}
{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}
{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
""",
    # The role between header tokens; the text trimmed; one beginning-of-text token.
    "headers": """{%- for turn in messages -%}
    {%- set text = '<|head|>' + turn.role + '<|body|>\\n\\n' + turn.content | trim + '<|over|>' -%}
    {%- if loop.index0 == 0 -%}
        {%- set text = bos_token + text -%}
    {%- endif -%}
    {{- text -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|head|>assistant<|body|>\\n\\n' -}}
{%- endif -%}
""",
    # Instruction and response, as plain text; a preface instead of a system turn.
    "instruction": """{%- set preface = 'Here is an instruction. Write the response that it asks for.' %}
{%- if messages and messages[0].role == 'system' %}
{%- set preface = messages[0].content %}
{%- set messages = messages[1:] %}
{%- endif %}
{{ bos_token }}{{ preface }}

{% for message in messages %}
{% if message.role == 'user' %}
### Instruction:
{{ message.content.strip() }}

{% elif message.role == 'assistant' %}
### Response:
{% generation %}
{{ message.content.strip() }}{{ eos_token }}
{% endgeneration %}

{% else %}
{{ raise_exception('Only user and assistant turns may follow, not ' ~ message.role) }}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}
### Response:
{% endif %}
""",
    # Requests in brackets; the system turn folded into the first request; roles must alternate.
    "brackets": """{{- bos_token }}
{%- set start = namespace(system='') %}
{%- if messages[0]['role'] == 'system' %}
    {%- set start.system = '[SYS] ' + messages[0]['content'] + ' [/SYS]\\n\\n' %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set turns = messages %}
{%- endif %}
{%- for turn in turns %}
    {%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate: user, assistant, user, assistant, ...') }}
    {%- endif %}
    {%- if turn['role'] == 'user' %}
        {{- '[INST] ' ~ (start.system if loop.first else '') ~ turn['content'].strip() ~ ' [/INST]' }}
    {%- else %}
        {{- ' ' ~ turn['content'].strip() ~ eos_token }}
    {%- endif %}
{%- endfor %}
""",
    # Everything as JSON, in its styles.
    "json": """{{ messages | tojson }}
{{ messages[0] | tojson(indent=2) }}
{{ {'none': none, 'yes': true, 'no': false, 'pair': [1, 2.5], 'text': 'a/b <i> & \\' "', 'empty': {}} | tojson }}
{{ messages | tojson(ensure_ascii=true, separators=(',', ':')) }}
{% for message in messages %}{% for key, value in message.items() %}{{ key }}={{ value | tojson }};{% endfor %}
{% endfor %}
""",
    # Python's string methods and other Python features that templates use.
    "methods": """{% for message in messages %}
{% set text = message.content.strip() %}
{% if text.startswith('/') and ' ' in text %}
{{ text.split(' ')[0].lstrip('/').upper() }}({{ text.split(' ')[1:] | join(', ') }})
{% elif text.endswith('?') %}
{{ text.rstrip('?!').replace(' ', '_').lower() ~ '?' }}{{ text.count('e') }} {{ text.find('z') }}
{% else %}
{{ text.splitlines() | length }} {{ text.split('\\n')[-1] }} {{ text.title() if text.islower() else text[::-1] }}
{% endif %}
{{ text.splitlines(true) | tojson }} {{ text.rsplit(' ', 1) | tojson }} {{ text.removeprefix('I ').removesuffix('.') }}
{{ message.get('name', 'nobody') }} {{ message.get('name') }} {{ message.name is defined }} {{ loop.last }}
{{ '%s:%d' | format(message.role, loop.index) }} {{ text | length > 10 and 'long' or 'short' }} {{ message.role.capitalize() }}
{% endfor %}
{{ tools is none }} {{ documents }} {{ missing is defined }} [{{ missing }}] {{ 7 // 2 }} {{ 7 / 2 }} {{ -7 % 3 }} {{ 2 ** 5 }}
{{ messages | map(attribute='role') | list | join('+') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }}
""",
    # A namespace that outlives the loop, loop controls, a macro, comments, and every kind of white-space control.
    "control": """{# Counts what is said -#}
{% macro line(who, what) -%}
    <{{ who }}> {{ what }}
{%- endmacro %}
{% set seen = namespace(users=0, last='') %}
{% for message in messages %}
    {% if message.role == 'system' %}{% continue %}{% endif %}
    {%- if message.content == 'stop' %}
        {%- break %}
    {%- endif %}

    {% if message.role == 'user' %}{% set seen.users = seen.users + 1 %}{% endif %}
    {% set seen.last = message.role %}
  {{ loop.index0 }}/{{ loop.length }} {{ line(message.role, message.content) }}
    {%+ if loop.first %} first{% endif +%}
{% else %}
nobody spoke
{% endfor %}
{{- '\\n' }}{{ seen.users }} questions, last: {{ seen.last or 'none' }}{% if not add_generation_prompt %} (done){% endif %}


""",
    # Lines with Windows line ends.
    "windows": "{% for m in messages %}\r\n{{ m.role }}:\r\n  {{ m.content }}\r\n{% endfor %}\r\n[end]\r\n",
}


def turns(*pairs):
    return [{"role": role, "content": content} for role, content in pairs]


CONVERSATIONS = [
    turns(("user", "What is a fox?")),
    turns(("system", "Be kind."), ("user", "hello there"), ("assistant", "Hello! How are you?")),
    turns(
        ("user", "  /add one two  "),
        ("assistant", "\n three\r\nor so \n"),
        ("user", "Why <b>\"three\"</b> & not '4'?"),
        ("assistant", "Grüße, 世界 🦊\tend"),
        ("user", "stop"),
    ),
    turns(("system", ""), ("user", ""), ("assistant", "")),
    turns(("assistant", "I begin."), ("user", "\x1f\u00e9\u2028\x07\\ \x7f\x85\r\n\x0b!\x1c")),
    turns(("user", "a"), ("user", "b"), ("tool", "c")),
    turns(("user", "I say <|im_end|> and <|over|>, <|eos|>"), ("assistant", "<|im_start|>system\nNo.<|im_end|>")),
]


def tiny_tokenizer():
    """Single bytes, a few merges, and the special tokens of all templates: as a file, and opened."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: id for id, letter in enumerate(alphabet)}
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "a"), ("u", "s"), ("us", "e"), ("use", "r")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    specials = [BOS, EOS, "<|im_start|>", "<|im_end|>", "<|head|>", "<|body|>", "<|over|>"]
    inner.add_special_tokens(specials)
    return json.loads(inner.to_str()), PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=BOS, eos_token=EOS)


def rendered(tokenizer, template, conversation, prompt):
    try:
        text = tokenizer.apply_chat_template(
            conversation, chat_template=template, add_generation_prompt=prompt, tokenize=False
        )
        return {"text": text}
    except Exception as error:
        return {"error": str(error)}


class Clock(datetime):
    """The time that `strftime_now` returns."""

    @classmethod
    def now(cls, zone=None):
        return cls(2026, 3, 5, 7, 8, 9)


def feature(template):
    """The output of a small template in transformers' environment; if it raises, the exception's name."""
    names = {"tools": None, "documents": None, "add_generation_prompt": False, **VARIABLES}
    try:
        return {"text": chat_template_utils._compile_jinja_template(template).render(**names)}
    except Exception as error:
        return {"error": type(error).__name__}


def features():
    chat_template_utils.datetime = Clock
    now = int(Clock.now().replace(tzinfo=timezone.utc).timestamp())
    cases = [{"name": name, "template": template, **feature(template)} for name, template in [*FEATURES.items(), *zip(EDGES, EDGES)]]
    write("features", {"now": now, "variables": VARIABLES, "cases": cases})


def families():
    """The output of `chat_families`' templates; if one raises, with its words."""
    chat_template_utils.datetime = Clock
    now = int(Clock.now().replace(tzinfo=timezone.utc).timestamp())
    cases = list(chat_families.cases())
    for case in cases:
        template = chat_families.TEMPLATES[case["template"]]
        case.update(whole(template, case["messages"], case["tools"], case["prompt"], case["variables"]))
    write("families", {"now": now, "templates": chat_families.TEMPLATES, "cases": cases})


def write(name, golden):
    (FOLDER / f"{name}.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    file, tokenizer = tiny_tokenizer()
    for name, template in TEMPLATES.items():
        whole, prompt = ([rendered(tokenizer, template, talk, open) for talk in CONVERSATIONS] for open in (False, True))
        golden = {"template": template, "bos": BOS, "eos": EOS, "whole": whole, "prompt": prompt}
        if name == "headers":
            # If no message spells a special token, the tokens must be the same too.
            plain = [case.get("text") if "<|" not in str(talk) else None for talk, case in zip(CONVERSATIONS, prompt)]
            ids = [text and tokenizer.encode(text, add_special_tokens=False) for text in plain]
            golden["ids"] = [text and " ".join(map(str, row)) for text, row in zip(plain, ids)]
        write(name, golden)
    write("conversations", CONVERSATIONS)
    features()
    families()
    (FOLDER / "tokenizer.json").write_text(json.dumps(file, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
