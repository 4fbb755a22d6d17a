"""The openai Python package against one base URL. Nothing here knows Sealgate but for the headers it reads.

Environment: BASE_URL, API_KEY, ENGINE_STATS (the engine's counters), MAX_BODY, REFUSING_URL (a verifying proxy whose policy
the service does not meet).
"""

import base64
import json
import os
import struct
import sys
import time
import traceback
import urllib.request

import openai

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
TESTS = []

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def test(function):
    TESTS.append(function)
    return function


def client(**overrides):
    settings = {"base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0, "timeout": 30}
    return openai.OpenAI(**(settings | overrides))


def say(text):
    return [{"role": "user", "content": text}]


def refused(kind, call):
    """The error of that class that `call` raises, with the body in OpenAI's shape."""
    try:
        call()
    except kind as error:
        assert isinstance(error.body, dict), f"the error has no object body: {error.body!r}"
        for member in ("message", "type", "code", "param"):
            assert member in error.body, f"the error has no {member}: {error.body!r}"
        return error
    raise AssertionError(f"nothing was refused; expected {kind.__name__}")


def engine_stats():
    # The engine is plain HTTP on loopback and no proxy setting is to get in between.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(os.environ["ENGINE_STATS"], timeout=10) as response:
        return json.load(response)


@test
def a_chat_completion_is_answered():
    answer = client().chat.completions.create(model="demo-model", messages=say("What is an enclave?"))
    assert answer.object == "chat.completion"
    assert answer.model == "demo-model", answer.model
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@test
def a_streamed_answer_is_the_same_text_in_more_than_one_piece():
    messages = say("Count to five")
    whole = client().chat.completions.create(model="demo-model", messages=messages)
    pieces, finished = [], None
    for chunk in client().chat.completions.create(model="demo-model", messages=messages, stream=True):
        for choice in chunk.choices:
            if choice.delta.content:
                pieces.append(choice.delta.content)
            finished = choice.finish_reason or finished
    assert "".join(pieces) == whole.choices[0].message.content
    assert len(pieces) > 1, pieces
    assert finished == "stop"


@test
def a_stream_that_asks_for_usage_ends_with_it():
    chunks = list(client().chat.completions.create(
        model="demo-model", messages=say("Hello"), stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0


@test
def a_stream_that_does_not_ask_for_usage_carries_none():
    chunks = list(client().chat.completions.create(model="demo-model", messages=say("Hello"), stream=True))
    assert all(chunk.usage is None for chunk in chunks)
    assert all(chunk.choices for chunk in chunks), "a chunk without choices was not asked for"


@test
def a_tool_is_called_and_its_result_is_taken():
    messages = say("Use the tool: what is the weather in Paris")
    first = client().chat.completions.create(model="demo-model", messages=messages, tools=[WEATHER])
    assert first.choices[0].finish_reason == "tool_calls"
    call = first.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}]
    second = client().chat.completions.create(model="demo-model", messages=messages, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


@test
def a_streamed_tool_call_arrives_in_pieces_that_make_its_arguments():
    name, arguments = None, ""
    for chunk in client().chat.completions.create(
            model="demo-model", messages=say("Use the tool: weather in Oslo"), tools=[WEATHER], stream=True):
        for call in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            name = call.function.name or name
            arguments += call.function.arguments or ""
    assert name == "get_weather"
    assert json.loads(arguments) == {"city": "Oslo"}


@test
def a_text_completion_is_answered():
    answer = client().completions.create(model="demo-model", prompt="Once upon a time")
    assert answer.object == "text_completion"
    assert answer.choices[0].text


@test
def embeddings_are_numbers():
    answer = client().embeddings.create(model="demo-embed", input=["one", "two"], encoding_format="float")
    assert [item.index for item in answer.data] == [0, 1]
    assert all(isinstance(number, float) for number in answer.data[0].embedding)
    assert answer.data[0].embedding != answer.data[1].embedding


@test
def embeddings_asked_for_in_base64_are_the_same_numbers():
    # The package asks for base64 by default and decodes it.
    decoded = client().embeddings.create(model="demo-embed", input="one").data[0].embedding
    plain = client().embeddings.create(model="demo-embed", input="one", encoding_format="float").data[0].embedding
    as_single = [struct.unpack("<f", struct.pack("<f", number))[0] for number in plain]
    if isinstance(decoded, str):
        raw = base64.b64decode(decoded)
        decoded = list(struct.unpack(f"<{len(raw) // 4}f", raw))
    assert [float(number) for number in decoded] == as_single


@test
def the_model_list_names_what_is_served():
    models = {model.id for model in client().models.list()}
    assert {"demo-model", "demo-embed"} <= models, models


@test
def an_alias_serves_the_same_model():
    answer = client().chat.completions.create(model="gpt-demo", messages=say("Hello"))
    assert answer.choices[0].message.content


@test
def every_answer_names_its_receipt_and_the_keyset():
    raw = client().chat.completions.with_raw_response.create(model="demo-model", messages=say("Hello"))
    assert raw.headers["x-aci-version"] == "aci/1"
    assert raw.headers["x-receipt-id"]
    assert raw.headers["x-aci-keyset-digest"].startswith("sha256:")


@test
def the_receipt_of_an_answer_can_be_fetched_with_the_key_that_asked():
    raw = client().chat.completions.with_raw_response.create(model="demo-model", messages=say("Hello"))
    receipt = fetch_receipt(client(), raw.headers["x-receipt-id"])
    kinds = [event["type"] for event in receipt["event_log"]]
    assert kinds[0] == "request.received" and "response.returned" in kinds, kinds


@test
def a_wrong_key_is_an_authentication_error():
    error = refused(openai.AuthenticationError, lambda: client(api_key="sk-unknown").chat.completions.create(
        model="demo-model", messages=say("Hello")))
    assert error.status_code == 401
    assert error.code == "invalid_api_key", error.code


@test
def an_unknown_model_is_a_not_found_error():
    error = refused(openai.NotFoundError, lambda: client().chat.completions.create(
        model="no-such-model", messages=say("Hello")))
    assert error.code == "model_not_found", error.code


@test
def a_request_without_a_model_is_a_bad_request_error():
    error = refused(openai.BadRequestError, lambda: client().chat.completions.create(
        model=None, messages=say("Hello")))
    assert error.status_code == 400
    assert error.type == "invalid_request_error", error.type


@test
def what_the_engine_finds_bad_is_a_bad_request_error_too():
    secret = "canary-7f3a"
    error = refused(openai.BadRequestError, lambda: client().chat.completions.create(
        model="demo-model", messages=[{"role": "user", "content": {"not": secret}}]))
    assert secret not in str(error), "the engine's text reached the client"


@test
def a_body_over_the_limit_is_refused_with_413():
    large = "x" * (int(os.environ["MAX_BODY"]) + 1)
    error = refused(openai.APIStatusError, lambda: client().chat.completions.create(
        model="demo-model", messages=say(large)))
    assert error.status_code == 413, error.status_code


@test
def an_engine_that_is_busy_is_a_rate_limit_error():
    error = refused(openai.RateLimitError, lambda: client().chat.completions.create(
        model="busy", messages=say("Hello")))
    assert error.status_code == 429


@test
def an_engine_that_refuses_the_service_is_asked_once_and_does_not_blame_the_callers_key():
    for model, code in (("unauthorized", "upstream_credentials_refused"), ("unpaid", "upstream_quota_exhausted"),
                        ("missing", "upstream_model_not_found")):
        before = engine_stats()["prompts"]
        error = refused(openai.APIStatusError, lambda: client(max_retries=2).chat.completions.create(
            model=model, messages=say("Hello")))
        assert (error.status_code, error.code) == (424, code), (error.status_code, error.code)
        assert engine_stats()["prompts"] == before + 1, "the prompt was sent again"


@test
def an_engine_that_breaks_is_a_server_error_without_its_text():
    secret = "canary-91c2"
    error = refused(openai.InternalServerError, lambda: client().chat.completions.create(
        model="broken", messages=say(secret)))
    assert error.status_code in (500, 502, 503), error.status_code
    assert secret not in str(error) and secret not in json.dumps(error.body), "the engine's text reached the client"


@test
def a_pinned_keyset_that_has_expired_is_refused_before_the_prompt_is_read():
    before = engine_stats()["prompts"]
    error = refused(openai.APIStatusError, lambda: client().chat.completions.create(
        model="demo-model", messages=say("Hello"),
        extra_headers={"X-ACI-Keyset-Digest": "sha256:" + "0" * 64}))
    assert error.status_code == 412, error.status_code
    assert engine_stats()["prompts"] == before, "the prompt reached the engine"


@test
def a_service_that_is_not_accepted_gets_no_prompt_and_the_client_gets_an_error():
    before = engine_stats()["prompts"]
    error = refused(openai.InternalServerError, lambda: client(base_url=os.environ["REFUSING_URL"])
                    .chat.completions.create(model="demo-model", messages=say("Hello")))
    assert error.status_code == 503, error.status_code
    assert "tdx.measurement.mrtd" in error.message, error.message
    assert engine_stats()["prompts"] == before, "the prompt reached the engine"


@test
def a_client_that_hangs_up_mid_stream_stops_the_engine_and_leaves_a_receipt():
    api = client()
    before = engine_stats()
    stream = api.chat.completions.create(model="slow", messages=say("Tell me a very long story " * 20), stream=True)
    receipt_id = stream.response.headers["x-receipt-id"]
    for _ in range(2):
        next(stream)
    stream.close()
    wait_for("the engine to see the hang-up", lambda: engine_stats()["hang_ups"] > before["hang_ups"])
    receipt = wait_for("the receipt", lambda: fetch_receipt(client(), receipt_id, missing=None))
    assert receipt["receipt_id"] == receipt_id


@test
def ten_answers_at_once_do_not_mix():
    from concurrent.futures import ThreadPoolExecutor

    api = client()

    def ask(number):
        chunks = api.chat.completions.create(model="demo-model", messages=say(f"Say number{number}"), stream=True)
        return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(ask, range(10)))
    alone = [ask(number) for number in range(10)]
    assert answers == alone
    assert len(set(answers)) == 10, "the engine's answers do not tell the questions apart"


def fetch_receipt(api, receipt_id, missing=AssertionError("the receipt is not there")):
    try:
        return api.get(f"/aci/receipts/{receipt_id}", cast_to=object)
    except openai.NotFoundError:
        if missing is not None:
            raise missing
        return None


def wait_for(what, condition):
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited in vain for {what}")


def main():
    passed = failed = 0
    for function in TESTS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            passed += 1
            print(f"test {name} ... ok", flush=True)
        except Exception as error:
            failed += 1
            print(f"test {name} ... FAILED: {type(error).__name__}: {error}", flush=True)
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
