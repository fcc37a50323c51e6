#!/usr/bin/env python3
"""The official `openai` package against a running `glass serve`, unchanged: what it asks for, gets and raises.

    pip install openai
    glass serve &
    tools/clients/openai_client.py [http://127.0.0.1:8080/v1] [--api-key KEY] [--only REGEX] [--flood 600]

One line for every check; status 1 if one fails. `--flood` requests at once are sent to see the queue overflow.
"""

import argparse
import asyncio
import json
import socket
import sys
import threading
import time
import urllib.request
from typing import Literal
from urllib.parse import urlparse

import openai
from pydantic import BaseModel

from checks import check, equal, expect, run

STORY = [{"role": "user", "content": "Tell me a story about a dog and a lost ball."}]
GREEDY = {"temperature": 0, "max_tokens": 24}


class Animal(BaseModel):
    kind: Literal["dog", "cat", "bird"]
    small: bool


class Service:
    def __init__(self, asked):
        self.url, self.asked = asked.url.rstrip("/"), asked
        self.open = openai.OpenAI(base_url=self.url, api_key=asked.api_key, max_retries=0, timeout=120)
        self.model = self.open.models.list().data[0].id

    def chat(self, **more):
        return self.open.chat.completions.create(**({"model": self.model, "messages": STORY} | GREEDY | more))

    def complete(self, prompt="Once upon a time", **more):
        return self.open.completions.create(**({"model": self.model, "prompt": prompt} | GREEDY | more))

    def tokens(self, text, **more):
        """Its ids, from an endpoint beside those of OpenAI."""
        head = {"Authorization": f"Bearer {self.asked.api_key}", "Content-Type": "application/json"}
        body = json.dumps({"content": text} | more).encode()
        where = self.url.removesuffix("/v1") + "/tokenize"
        with urllib.request.urlopen(urllib.request.Request(where, body, head), timeout=30) as answer:
            return json.load(answer)["tokens"]

    def refused(self, kind, call=None, **more):
        """The error that this call raises."""
        try:
            (call or self.chat)(**more)
        except openai.APIError as error:
            equal(type(error), kind, "the class of the error")
            expect(error.message and str(error.body["message"]) in str(error), f"the message is lost: {error}")
            return error
        raise AssertionError(f"{more} was taken")


@check("models: list and retrieve")
def models(service):
    model = service.open.models.retrieve(service.model)
    equal((model.id, model.object), (service.model, "model"), "the model")
    error = service.refused(openai.NotFoundError, service.open.models.retrieve, model="no/such-model")
    equal(error.code, "model_not_found", "code")
    return f"{service.model}, context {model.context}, vocabulary {model.vocabulary}"


@check("chat: content, finish, usage")
def chat(service):
    answer = service.chat()
    choice = answer.choices[0]
    expect(answer.id and answer.created > 1.7e9, "id or created is missing")
    equal((answer.object, choice.index, choice.message.role), ("chat.completion", 0, "assistant"), "object, index, role")
    expect(len(choice.message.content.split()) > 5, f"content {choice.message.content!r}")
    equal(choice.finish_reason, "length", "finish_reason")
    equal(answer.usage.completion_tokens, 24, "completion_tokens")
    expect(answer.usage.prompt_tokens > 10, "prompt_tokens")
    equal(answer.usage.total_tokens, answer.usage.prompt_tokens + 24, "total_tokens")
    expect(answer.usage.prompt_tokens_details.cached_tokens >= 0, "cached_tokens")
    equal(service.chat().choices[0].message.content, choice.message.content, "the same request again")
    equal(service.chat(max_tokens=None, max_completion_tokens=24).choices[0].message.content, choice.message.content, "max_completion_tokens")


@check("chat: streamed, with usage")
def streamed(service):
    whole = service.chat()
    chunks = list(service.chat(stream=True, stream_options={"include_usage": True}))
    *parts, last = chunks
    equal(len({chunk.id for chunk in chunks}), 1, "ids in the stream")
    equal({chunk.object for chunk in chunks}, {"chat.completion.chunk"}, "object")
    equal(parts[0].choices[0].delta.role, "assistant", "the first delta's role")
    equal("".join(part.choices[0].delta.content or "" for part in parts), whole.choices[0].message.content, "the joined stream")
    equal([part.choices[0].finish_reason for part in parts if part.choices[0].finish_reason], ["length"], "finish_reason")
    equal(last.choices, [], "choices of the usage chunk")
    equal(last.usage.completion_tokens, 24, "usage")
    expect(all(part.usage is None for part in parts), "usage in an earlier chunk")
    expect(len(parts) >= 12, f"only {len(parts)} chunks for 24 tokens")
    bare = list(service.chat(stream=True))
    expect(all(chunk.choices and chunk.usage is None for chunk in bare), "usage that was not asked for")
    return f"{len(parts)} chunks"


@check("chat: system prompt, several turns, parts of text")
def turns(service):
    said = [{"role": "system", "content": "Every story is about Tom."}, *STORY, {"role": "assistant", "content": "Tom had a dog."},
            {"role": "user", "content": [{"type": "text", "text": "What was the dog's name?"}]}]
    plain = [*said[:3], {"role": "user", "content": "What was the dog's name?"}]
    one, other = service.chat(messages=said), service.chat(messages=plain)
    equal(one.usage.prompt_tokens, other.usage.prompt_tokens, "prompt tokens of parts and of plain text")
    equal(one.choices[0].message.content, other.choices[0].message.content, "parts and plain text")
    expect(one.choices[0].message.content != service.chat().choices[0].message.content, "the turns changed nothing")


@check("sampling: seed, n, stop, bias, penalties")
def sampling(service):
    drawn = {"temperature": 1, "max_tokens": 16}
    text = lambda **more: [choice.message.content for choice in service.chat(**(drawn | more)).choices]
    equal(text(seed=7), text(seed=7), "the same seed twice")
    expect(text(seed=7) != text(seed=8), "two seeds gave the same")
    three = service.chat(**drawn, seed=7, n=3)
    equal([choice.index for choice in three.choices], [0, 1, 2], "indices")
    equal(three.choices[0].message.content, text(seed=7)[0], "the first of n and the one alone")
    expect(len({choice.message.content for choice in three.choices}) == 3, "the three are not different")
    equal(three.usage.completion_tokens, 48, "usage of all three")
    whole = service.complete().choices[0].text
    word = whole.split()[4]
    stopped = service.complete(stop=[word]).choices[0]
    equal((stopped.text, stopped.finish_reason), (whole[: whole.index(word)], "stop"), "stop")
    tokens = service.complete(logprobs=0).choices[0].logprobs.tokens
    first = service.tokens(tokens[0], add_special=False)[0]
    biased = service.complete(logit_bias={str(first): -100}, logprobs=0).choices[0].logprobs.tokens
    expect(tokens[0] not in biased, "a token with a bias of -100 was drawn")
    expect(service.complete(frequency_penalty=2, max_tokens=64).choices[0].text != service.complete(max_tokens=64).choices[0].text, "no penalty")


@check("log-probabilities of a chat")
def chat_logprobs(service):
    answer = service.chat(logprobs=True, top_logprobs=5)
    content = answer.choices[0].logprobs.content
    equal(len(content), answer.usage.completion_tokens, "tokens with a log-probability")
    equal(bytes(byte for token in content for byte in token.bytes).decode(errors="replace"), answer.choices[0].message.content, "the bytes")
    for token in content:
        tops = [top.logprob for top in token.top_logprobs]
        equal((len(tops), tops), (5, sorted(tops, reverse=True)), "runners-up")
        expect(token.logprob <= 0, f"logprob {token.logprob}")
        equal((token.token, token.logprob), (token.top_logprobs[0].token, tops[0]), "greedy and the first")
    streamed = [t for chunk in service.chat(logprobs=True, top_logprobs=5, stream=True) for c in chunk.choices if c.logprobs for t in c.logprobs.content]
    equal([t.logprob for t in streamed], [t.logprob for t in content], "streamed log-probabilities")


@check("completions: echo with log-probabilities, lists, ids")
def echo(service):
    prompt = "Once upon a time there was"
    answer = service.complete(prompt, echo=True, logprobs=3, max_tokens=2)
    choice = answer.choices[0]
    found = choice.logprobs
    expect(choice.text.startswith(prompt), f"the text is {choice.text!r}")
    equal(len(found.tokens), answer.usage.total_tokens, "tokens of the prompt and of the answer")
    equal({len(found.tokens)}, {len(found.token_logprobs), len(found.top_logprobs), len(found.text_offset)}, "lengths")
    expect(found.token_logprobs[0] is None and all(logprob <= 0 for logprob in found.token_logprobs[1:]), "log-probabilities")
    equal(found.text_offset, sorted(found.text_offset), "offsets")
    alone = service.complete(prompt, echo=True, logprobs=3, max_tokens=0).choices[0]
    equal(alone.logprobs.token_logprobs, found.token_logprobs[:-2], "the prompt alone")
    both = service.complete([prompt, "The dog"], max_tokens=8)
    equal([c.index for c in both.choices], [0, 1], "indices of two prompts")
    equal(both.choices[0].text, service.complete(prompt, max_tokens=8).choices[0].text, "the first of two prompts")
    ids = service.tokens(prompt)
    equal(service.complete(ids, max_tokens=8).choices[0].text, both.choices[0].text, "ids and text")
    pieces = [c.text for chunk in service.complete(prompt, max_tokens=8, stream=True) for c in [chunk] for c in chunk.choices]
    equal("".join(pieces), both.choices[0].text, "streamed")


@check("JSON schema: response_format, .parse, json_object")
def schema(service):
    shape = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 1, "maximum": 9},
             "colours": {"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 2, "maxItems": 3}},
             "required": ["name", "age", "colours"], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "dog", "schema": shape, "strict": True}}
    for seed in range(4):
        answer = service.chat(response_format=wanted, temperature=1, seed=seed, max_tokens=120)
        found = json.loads(answer.choices[0].message.content)
        equal(list(found), ["name", "age", "colours"], "keys")
        expect(len(found["name"]) <= 12 and found["age"] in range(1, 10), f"{found}")
        expect(2 <= len(found["colours"]) <= 3 and set(found["colours"]) <= {"red", "blue"}, f"{found}")
        equal(answer.choices[0].finish_reason, "stop", "finish_reason")
    parsed = service.open.chat.completions.parse(model=service.model, messages=STORY, response_format=Animal, max_tokens=80).choices[0].message.parsed
    expect(isinstance(parsed, Animal), f"parsed is {parsed!r}")
    text = "".join(c.delta.content or "" for chunk in service.chat(response_format=wanted, stream=True, max_tokens=120) for c in chunk.choices)
    expect(json.loads(text)["age"] in range(1, 10), text)
    other = service.chat(response_format={"type": "json_object"}, max_tokens=200)
    if other.choices[0].finish_reason == "stop":
        expect(isinstance(json.loads(other.choices[0].message.content), dict), "json_object")
    impossible = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array", "uniqueItems": True}}}
    service.refused(openai.BadRequestError, response_format=impossible)
    return f"{found}, {parsed!r}"


@check("responses: whole")
def responses(service):
    answer = service.open.responses.create(model=service.model, input=STORY[0]["content"], temperature=0, max_output_tokens=24)
    equal(answer.output_text, service.chat().choices[0].message.content, "output_text and the chat's content")
    equal((answer.object, answer.status, answer.incomplete_details.reason), ("response", "incomplete", "max_output_tokens"), "status")
    equal((answer.usage.output_tokens, answer.usage.total_tokens), (24, answer.usage.input_tokens + 24), "usage")
    told = service.open.responses.create(model=service.model, input=STORY, instructions="Every story is about Tom.", temperature=0, max_output_tokens=24)
    expect(told.usage.input_tokens > answer.usage.input_tokens, "instructions are not in the prompt")


@check("responses: streamed")
def responses_streamed(service):
    call = {"model": service.model, "input": STORY[0]["content"], "temperature": 0, "max_output_tokens": 24}
    events = list(service.open.responses.create(**call, stream=True))
    kinds = [event.type for event in events]
    opening = ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
    closing = ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.incomplete"]
    equal((kinds[:4], kinds[-4:]), (opening, closing), "the order of events")
    numbers = [event.sequence_number for event in events]
    equal(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "sequence numbers")
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    equal(text, service.open.responses.create(**call).output_text, "the joined stream")
    equal(events[-1].response.output_text, text, "the final response")
    with service.open.responses.stream(**call) as stream:
        equal("".join(event.delta for event in stream if event.type == "response.output_text.delta"), text, "the stream helper")


@check("embeddings: base64 as by default, floats, lists")
def embeddings(service):
    texts = ["The dog ran.", "A cat sat on the mat."]
    packed = service.open.embeddings.create(model=service.model, input=texts)
    floats = service.open.embeddings.create(model=service.model, input=texts, encoding_format="float")
    equal([one.index for one in packed.data], [0, 1], "indices")
    for one, other in zip(packed.data, floats.data, strict=True):
        expect(max(abs(a - b) for a, b in zip(one.embedding, other.embedding, strict=True)) < 1e-6, "base64 and floats differ")
    expect(packed.data[0].embedding != packed.data[1].embedding, "two texts have the same embedding")
    expect(packed.usage.prompt_tokens > 8, "usage")
    single = service.open.embeddings.create(model=service.model, input=texts[0])
    equal(single.data[0].embedding, packed.data[0].embedding, "alone and in a list")
    return f"{len(single.data[0].embedding)} numbers"


@check("errors: their classes, fields and codes")
def errors(service):
    bad = openai.BadRequestError
    cases = {
        "temperature": {"temperature": -1}, "top_p": {"top_p": 7}, "n": {"n": 0}, "seed": {"seed": "seven"}, "max_tokens": {"max_tokens": -5},
        "nonsense": {"extra_body": {"nonsense": 1}}, "top_logprobs": {"logprobs": True, "top_logprobs": 99},
        "tools": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    }
    for field, more in cases.items():
        error = service.refused(bad, **more)
        expect(str(error.param).startswith(field), f"param is {error.param!r}, not {field!r}: {error}")
        equal(error.type, "invalid_request_error", f"type for {field}")
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]
    service.refused(bad, messages=image)
    service.refused(bad, messages=[])
    service.refused(bad, messages=[{"role": "pirate", "content": "Ahoy"}])
    equal(service.refused(openai.NotFoundError, model="gpt-4o").code, "model_not_found", "code")
    error = service.refused(bad, service.complete, prompt="word " * 20000)
    equal(error.code, "context_length_exceeded", "code")
    expect(sum(part.strip(".,;").isdigit() for part in error.message.replace("(", " ").split()) >= 2, f"two numbers: {error.message}")
    service.refused(bad, stream=True, temperature=-1)
    if service.asked.api_key != "none":
        other = openai.OpenAI(base_url=service.url, api_key="wrong", max_retries=0)
        service.refused(openai.AuthenticationError, lambda: other.models.list())


@check("neutral values pass")
def neutral(service):
    calm = {"user": "someone", "metadata": {"a": "b"}, "store": False, "n": 1, "tools": [], "service_tier": "auto", "parallel_tool_calls": True,
            "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}, "stop": None, "seed": None, "response_format": {"type": "text"}}
    equal(service.chat(**calm).choices[0].message.content, service.chat().choices[0].message.content, "the answer")


@check("request ids and headers")
def headers(service):
    given = service.open.chat.completions.with_raw_response.create(
        model=service.model, messages=STORY, max_tokens=1, extra_headers={"x-request-id": "check-0123"})
    equal(given.headers.get("x-request-id"), "check-0123", "x-request-id")
    expect(service.chat(max_tokens=1)._request_id, "no x-request-id of its own")


@check("closing a stream early")
def closing(service):
    whole = service.chat().choices[0].message.content
    start = time.monotonic()
    for _ in range(20):
        stream = service.complete(max_tokens=400, stream=True)
        for _ in range(3):
            next(iter(stream))
        stream.close()
    equal(service.chat().choices[0].message.content, whole, "an answer afterwards")
    return f"20 streams of 400 tokens left after 3, {time.monotonic() - start:.1f} s"


@check("the asynchronous client: 16 at once, the same answers")
def asynchronous(service):
    async def ask():
        async with openai.AsyncOpenAI(base_url=service.url, api_key=service.asked.api_key, max_retries=0) as client:
            async def one(number):
                stream = await client.chat.completions.create(
                    model=service.model, messages=[{"role": "user", "content": f"A story with the number {number}."}], stream=True, **GREEDY)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

            return await asyncio.gather(*map(one, range(16)))

    together = asyncio.run(ask())
    alone = [service.chat(messages=[{"role": "user", "content": f"A story with the number {n}."}]).choices[0].message.content for n in range(16)]
    equal(sum(a != b for a, b in zip(together, alone, strict=True)), 0, "answers that differ from those alone")


def flood(service, most):
    """Streams that nobody reads, until one is refused: its sockets, and the refusal."""
    address, held = urlparse(service.url), []
    body = json.dumps({"model": service.model, "prompt": "Once", "max_tokens": 400, "stream": True}).encode()
    head = f"POST {address.path}/completions HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {service.asked.api_key}\r\n" \
           f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    for _ in range(most):
        held.append(socket.create_connection((address.hostname, address.port)))
        held[-1].sendall(head.encode() + body)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for one in held:
            one.setblocking(False)
            try:
                said = one.recv(4096, socket.MSG_PEEK)
            except BlockingIOError:
                continue
            if said.startswith(b"HTTP/1.1 429"):
                return held, said.decode()
        time.sleep(0.02)
    return held, None


@check("a full queue: 429, Retry-After, the client's own retries")
def overflow(service):
    held, refusal = flood(service, service.asked.flood)
    try:
        expect(refusal, f"{service.asked.flood} requests at once and no 429")
        expect("retry-after:" in refusal.lower(), f"no Retry-After: {refusal[:200]}")
        seen = "and a RateLimitError"
        try:
            service.chat(max_tokens=1)
            seen = "and then there was room again"
        except openai.RateLimitError as error:
            expect(error.response.headers["retry-after"].isdigit(), "Retry-After")
        threading.Timer(0.5, lambda: [one.close() for one in held]).start()
        answer = service.open.with_options(max_retries=5).chat.completions.create(model=service.model, messages=STORY, **GREEDY)
    finally:
        for one in held:
            one.close()
    equal(answer.choices[0].message.content, service.chat().choices[0].message.content, "the answer after retries")
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080/v1")
    parser.add_argument("--api-key", default="none")
    parser.add_argument("--only", default="", help="checks whose names match")
    parser.add_argument("--flood", type=int, default=600)
    asked = parser.parse_args()
    sys.exit(1 if run(Service(asked), only=asked.only) else 0)


if __name__ == "__main__":
    main()
