"""Compares Glass's chat templates with transformers, on every template included in llama.cpp.

    cargo build --release -p glass --example chat_template
    python tools/chat_templates.py target/release/examples/chat_template [--each] [--print]

The templates come from the sources of llama-cpp-python, which pip fetches into a temporary folder (or from a folder given
with --templates). Each is rendered for a set of conversations, with and without a prompt for the assistant and up to
the end of the last message's text, by transformers and by Glass: the same text, or a refusal by both. Needs `transformers` and `jinja2`.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import transformers.utils.chat_template_utils as theirs

PACKAGE = "llama-cpp-python"
FOLDER = "vendor/llama.cpp/models/templates/"
# In place of a prompt for the assistant: the text ends where the last message's text ends.
CONTINUED = "continued"
NOW = datetime(2026, 3, 5, 7, 8, 9)
# Names that templates read, as a tokenizer would provide them.
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.\nIn a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city's name, as in \"Zürich\"."},
                "days": {"type": "integer", "description": "How many days", "default": 3, "minimum": 1},
                "scale": {"type": "string", "enum": ["celsius", "kelvin"]},
                "near": {"type": "array", "items": {"type": "string"}, "description": "Cities & <places>"},
                "at": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": ["number", "null"]}}},
            },
            "required": ["city"],
        },
    },
}
NOTHING = {"type": "function", "function": {"name": "nothing", "description": "Does nothing.", "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, id="abcdef123"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def tool(content, **more):
    return {"role": "tool", "content": content, **more}


ARGUMENTS = {"city": "Zürich", "days": 2, "near": ["Bern", "a \"b\""], "at": {"x": 1.5, "y": None}, "dry": True}
CALLED = [user("Weather in Zürich?"), assistant("", tool_calls=[call("weather", ARGUMENTS)])]
ANSWER = tool('{"sky": "blue"}', name="weather", tool_call_id="abcdef123")
SYSTEM = {"role": "system", "content": "You are terse."}

CONVERSATIONS = {
    "plain": ([user("What is a fox?")], None),
    "answered": ([user("Hi"), assistant("Hello!")], None),
    "system": ([SYSTEM, user("Hi there.")], None),
    "turns": ([SYSTEM, user(" 1 + 1? "), assistant("2"), user("<b>why</b> & how\n\n'so'?"), assistant(" Grüße 🦊\n"), user("ok")], None),
    "empty": ([{"role": "system", "content": ""}, user("")], None),
    "developer": ([{"role": "developer", "content": "Answer in rhymes."}, user("Hi")], None),
    "reasoning": ([user("2 + 2?"), assistant("4", reasoning_content="Two and two are four."), user("And 3?")], None),
    "thought": ([user("2 + 2?"), assistant("<think>\nEasy.\n</think>\n\n4"), user("And 3?"), assistant("<think>Hm</think>5")], None),
    "parts": ([user([{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}]), assistant([{"type": "text", "text": "A fox."}]), user("ok")], None),
    "picture": ([user([{"type": "image"}, {"type": "text", "text": "What is this?"}])], None),
    "tools": ([user("Weather in Zürich?")], [WEATHER, NOTHING]),
    "tools, system": ([SYSTEM, user("Weather in Zürich?")], [WEATHER]),
    "no tools": ([SYSTEM, user("Weather?")], []),
    "called": (CALLED + [ANSWER], [WEATHER]),
    "called, answered": ([SYSTEM] + CALLED + [ANSWER, assistant("Blue."), user("Thanks"), assistant("Welcome.")], [WEATHER, NOTHING]),
    "called by text": ([user("Weather?"), assistant("", tool_calls=[call("weather", json.dumps(ARGUMENTS))]), ANSWER], [WEATHER]),
    "called, null": ([user("Weather?"), assistant(None, tool_calls=[call("weather", ARGUMENTS)]), ANSWER, assistant("Blue.")], [WEATHER]),
    "called, content": ([user("Weather?"), assistant("I look.", tool_calls=[call("weather", ARGUMENTS)]), ANSWER], [WEATHER]),
    "called twice": ([user("Weather?"), assistant("", tool_calls=[call("weather", {"city": "Bern"}, "aaaaaaaa1"), call("nothing", {}, "aaaaaaaa2")]), tool("rain", name="weather", tool_call_id="aaaaaaaa1"), tool("", name="nothing", tool_call_id="aaaaaaaa2")], [WEATHER, NOTHING]),
    "called, reasoning": ([user("Weather?"), assistant("", reasoning_content="I need a tool.", tool_calls=[call("weather", ARGUMENTS)]), ANSWER], [WEATHER]),
    "tool's parts": (CALLED + [tool([{"type": "text", "text": "blue"}], name="weather", tool_call_id="abcdef123")], [WEATHER]),
    "two users": ([user("a"), user("b")], None),
    "assistant first": ([assistant("I begin."), user("Go on.")], None),
    "functions": ([{**SYSTEM, "functions": '[{"name": "weather"}]'}, user("Weather?"), {"role": "assistant", "content": None, "function_calls": 'weather(city="Bern")'}, {"role": "environment", "content": "rain"}], None),
    "several parts": ([{"role": "system", "content": [{"type": "text", "text": "Be terse. "}]}, user([{"type": "text", "text": " one\n"}, {"type": "text", "text": " two "}]), assistant([{"type": "text", "text": "1"}, {"type": "text", "text": "2"}]), user("ok")], None),
    "odd role": ([user("a"), {"role": "narrator", "content": "b"}], None),
}
# Other names that callers pass: switches of some of the templates.
SWITCHES = [{}, {"enable_thinking": False}, {"enable_thinking": True, "thinking": True, "reasoning_effort": "high", "builtin_tools": ["browser", "python"]},
            {"documents": [{"title": "Bern", "text": "Bears & \"arcades\"."}, {"title": "Zürich", "text": "A lake."}], "date_string": "01 Feb 2025", "tools_in_user_message": False, "controls": {"length": "short"}}]


class Clock(datetime):
    @classmethod
    def now(cls, zone=None):
        return NOW


def templates(folder):
    """Names and texts: from a folder, or from the package's sources."""
    if folder:
        return {path.name: path.read_text() for path in sorted(Path(folder).glob("*.jinja"))}
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PACKAGE, "--dest", place, PACKAGE]
        subprocess.run(command, check=True)
        with tarfile.open(next(Path(place).glob("*.tar.gz"))) as sources:
            found = [one for one in sources if FOLDER in one.name and one.name.endswith(".jinja")]
            return {Path(one.name).name: sources.extractfile(one).read().decode() for one in found}


def ending(prompt):
    return {"continue_final_message": True} if prompt == CONTINUED else {"add_generation_prompt": prompt}


def rendered(template, messages, tools, prompt, more):
    """The output of `apply_chat_template`."""
    try:
        messages = theirs._normalize_chat_messages(messages)
        texts, _ = theirs.render_jinja_template([messages], tools=tools, chat_template=template, **ending(prompt), **{**TOKENS, **more})
        return {"text": texts[0]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def cases(all_templates):
    for name, template in all_templates.items():
        for title, (messages, tools) in CONVERSATIONS.items():
            for prompt in (False, True, CONTINUED):
                for more in SWITCHES:
                    yield name, title, template, messages, tools, prompt, more


def ask(program, wanted):
    """Glass's answers, one line of JSON each."""
    lines = "".join(json.dumps(one) + "\n" for one in wanted)
    done = subprocess.run(program, input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def alike(theirs, ours):
    """Whether two refusals are the same: what the template raises has the same words; Glass refuses nothing for want of a feature."""
    raised = theirs.removeprefix("TemplateError: ") if theirs.startswith("TemplateError: ") else None
    mark = "the chat template refuses this conversation: "
    said = ours.split(mark, 1)[1] if mark in ours else None
    return raised == said and "cannot do" not in ours and "stopped" not in ours


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the built example chat_template")
    parser.add_argument("--templates", help="a folder of .jinja files instead of the package's")
    parser.add_argument("--each", action="store_true", help="show the numbers of each template")
    parser.add_argument("--print", action="store_true", help="show each difference")
    asked = parser.parse_args()
    theirs.datetime = Clock
    found = templates(asked.templates)
    every = list(cases(found))
    seconds = int(NOW.replace(tzinfo=timezone.utc).timestamp())
    wanted = [
        {"template": template, "messages": messages, "tools": tools, **ending(prompt), "variables": {**TOKENS, **more}, "now": seconds}
        for _, _, template, messages, tools, prompt, more in every
    ]
    ours = ask([asked.program], wanted)
    assert len(ours) == len(every)
    equal, refused, different, reasons = Counter(), Counter(), {}, {}
    for (name, title, template, messages, tools, prompt, more), mine in zip(every, ours):
        right = rendered(template, messages, tools, prompt, more)
        if "text" in right and mine == right:
            equal[name] += 1
        elif "error" in right and "error" in mine and alike(right["error"], mine["error"]):
            refused[name] += 1
            reasons.setdefault(name, Counter())[mine["error"]] += 1
        else:
            different.setdefault(name, []).append((title, prompt, more, right, mine))
    print(f"{len(found)} templates, {len(every)} texts: {equal.total()} equal, {refused.total()} refused by both, "
          f"{sum(map(len, different.values()))} different, in {len(different)} templates")
    for name in found if asked.each else ():
        print(f"  {name}: {equal[name]} equal, {refused[name]} refused by both, {len(different.get(name, []))} different")
        for reason, count in reasons.get(name, Counter()).most_common():
            print(f"    {count} refused: {reason[:140]}")
    for name, many in different.items():
        print(f"{name}: {len(many)} differ")
        for title, prompt, more, right, mine in many[: 3 if asked.print else 0]:
            print(f"  {title}, prompt {prompt}, {more}\n    theirs {json.dumps(right)[-300:]}\n    ours   {json.dumps(mine)[-300:]}")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
