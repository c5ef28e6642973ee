"""A judge run of 10,000 calls to a server that fails: how fast is it, and is all accounted for?

Every answer takes 200 ms, and one request in twenty meets a fault: 429 with Retry-After, 500, no
answer, a connection cut inside the answer, an answer that is no JSON, a model that declines. Which,
is a function of the question and the attempt, so that both sides meet the same (`faulty_server`).

One side is the real command, `ppdbench judge --judge openai:MODEL`, on pictures drawn before: its
stage "judge", by its own status.json, which is looking up what has a verdict, making the requests,
images included, every verdict on record and in the cache. The other is the loop that one would
write around the bare `openai` client (`bare_client`): the very same requests, made beforehand, with
the client's own retries, replies to a file. Both have as many in flight, as many attempts and the
same timeout; to both a reply that declines is a reply, and an answer that is no JSON is none. They
take turns, whole runs, in the order bare, judge, judge, bare.

    python perf/judge_load.py [--limit 125] [--concurrency 32] [--latency 0.2] [--faults 0.05]

After the judge's first turn the same command again asks those who declined, and nobody else. A
second, smaller run is stopped by `--max-cost`, in the middle of the same faults, and goes on with
more. Exits 1 below 95% of the bare client's throughput, if the server's log and the records do not
agree, if a question is lost, or a reply that was received and paid for is requested again, or if by
the server's own count of tokens more was spent than allowed; writes results/judge_load.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faulty_server import FAULTS, question_of, read_log, serving, tokens
from judge_account import Account, account, charged, kinds
from result_file import RESULTS, header, write_result

from ppdbench.judges.on_record import FILE, spent
from ppdbench.runs.directory import read_spec
from ppdbench.runs.records import read_records
from ppdbench.runs.store import key_of

BAR = 0.95
OUT = RESULTS / "judge_load.json"
HERE = Path(__file__).parent
HOUR = 3600.0
"""Seconds: who takes longer hangs."""
PRICE = (2.5, 10.0)
"""US dollars a million tokens of gpt-4o, read and written."""
SHARE = 0.4
"""Of what all calls of the second run are charged without faults: what it may take at first."""
REACHED = re.compile(r"the next call may cost \$([0-9.]+), and \$([0-9.]+) are left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What both sides have in common."""

    url: str
    """The server's; a turn follows it."""
    place: Path
    """Everything is written here."""
    limit: int
    """Users of each split; each has forty calls."""
    concurrency: int
    timeout: float

    @property
    def env(self) -> dict[str, str]:
        """Variables of the commands: a cache of their own, and the made-up generators."""
        return {
            **os.environ,
            "PPDBENCH_CACHE": str(self.place / "cache"),
            "PYTHONPATH": str(HERE),
            "OPENAI_API_KEY": "none",
        }

    def judge(self, turn: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Run the command; its words on standard error are kept."""
        words = [sys.executable, "-m", "ppdbench", "judge", "--full", "--limit", str(self.limit)]
        words += ["--model", "made_painter:squares", "--baseline", "made_painter:plain_squares"]
        words += ["--judge", "openai:gpt-4o", "--base-url", f"{self.url}/{turn}/v1"]
        words += ["--concurrency", str(self.concurrency), "--timeout", str(self.timeout)]
        words += ["--runs", str(self.place / "runs"), "--device", "cpu", "--quiet", *more]
        return subprocess.run(
            words, env=self.env, capture_output=True, text=True, check=False, timeout=HOUR
        )

    def folder(self, turn: str) -> Path:
        """The run of a turn, by its server's address."""
        for path in (self.place / "runs").glob("*/*/summary.json"):
            if f"/{turn}/v1" in path.read_text(encoding="utf-8"):
                return path.parent
        raise SystemExit(f"there is no run of {turn}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """All questions of a run, drawn, and written as they would be sent."""

    file: Path
    by_key: dict[str, str]
    """Key in the batch file -> as the server knows it."""
    judge: dict[str, str]
    """Name and revision that the keys are made with."""
    charge: float
    """US dollars for each of them answered once."""

    def asked_as(self, records: list[dict[str, Any]]) -> dict[str, str]:
        """Digest on record -> as the server knows it, of all questions."""
        found = {}
        for record in records:
            key = key_of(self.judge["name"], self.judge["revision"], record["question"]).hex()
            found[record["question"]] = self.by_key[key]
        lost = set(self.by_key.values()) - set(found.values())
        return found | {question: question for question in lost}


def main() -> int:
    """Parse, measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=int, default=125, help="users of each split")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--faults", type=float, default=0.05, help="share of requests, 0 to 1")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--budget-limit", type=int, default=13, help="users of the second run")
    parser.add_argument("--bar", type=float, default=BAR)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    with (
        serving(given.latency, given.faults) as url,
        tempfile.TemporaryDirectory() as name,
    ):
        shared = {"url": url, "concurrency": given.concurrency, "timeout": given.timeout}
        load = Setting(place=Path(name) / "load", limit=given.limit, **shared)
        budget = Setting(place=Path(name) / "budget", limit=given.budget_limit, **shared)
        found = {"speed": measure_speed(load, given.repeats), "budget": keep_to_budget(budget)}
    speed, kept = found["speed"], found["budget"]
    passed = speed["ratio"] >= given.bar and speed["sound"] and kept["sound"]
    record = {
        **header(also=("openai",)),
        "latency_seconds": given.latency,
        "faults": {"share": given.faults, "kinds": FAULTS, "drawn_by": "question and attempt"},
        "concurrency": given.concurrency,
        "timeout_seconds": given.timeout,
        "bare_requests": "made beforehand; retries of the client's own; replies to a file",
        "judge_requests": "made inside the time, what has a verdict looked up; verdicts recorded "
        "and cached",
        **found,
        "bar": given.bar,
        "passed": passed,
    }
    write_result(record, given.out)
    print(
        f"the judge runs at {speed['ratio']:.1%} of the bare client, bar {given.bar:.0%}; "
        f"accounts {'agree' if speed['sound'] and kept['sound'] else 'DO NOT AGREE'}",
        file=sys.stderr,
    )
    return 0 if passed else 1


def prepare(setting: Setting) -> Questions:
    """Draw all pictures, and write every call as a batch file has it."""
    setting.place.mkdir(parents=True)
    file = setting.place / "requests.jsonl"
    _succeeded(setting.judge("draw", "--batch-out", str(file)))
    (part,) = setting.place.glob("requests-*.jsonl")
    (drawn,) = (setting.place / "runs").glob("*/*/spec.json")
    by_key, charge = {}, 0.0
    with part.open(encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            messages = request["body"]["messages"]
            question = by_key[request["custom_id"]] = question_of(messages)
            read, written = tokens(question, messages)
            charge += (read * PRICE[0] + written * PRICE[1]) / 1e6
    if len(set(by_key.values())) < len(by_key):
        raise SystemExit("two questions are one")
    judge = read_spec(drawn.parent)["judge"]
    return Questions(file=part, by_key=by_key, judge=judge, charge=charge)


def measure_speed(setting: Setting, repeats: int) -> dict[str, Any]:
    """Both sides in turns; seconds, what befell them, and the accounts of every judge's turn."""
    questions = prepare(setting)
    bare: list[dict[str, Any]] = []
    ours: list[dict[str, Any]] = []
    for repeat in range(repeats):
        for side in ("bare", "judge") if repeat % 2 == 0 else ("judge", "bare"):
            turn = f"{side}-{repeat}"
            if side == "bare":
                bare.append(_ask_bare(setting, turn, questions))
            else:
                ours.append(_ask_judge(setting, turn, questions, again=repeat == 0))
            last = (bare if side == "bare" else ours)[-1]
            print(f"{turn}: {last}", file=sys.stderr, flush=True)
    seconds = [sum(turn["seconds"] for turn in side) for side in (bare, ours)]
    return {
        "calls": len(questions.by_key),
        "request_bytes": round(questions.file.stat().st_size / len(questions.by_key)),
        "ratio": round(seconds[0] / seconds[1], 4),
        "ratio_each": [
            round(one["seconds"] / other["seconds"], 4)
            for one, other in zip(bare, ours, strict=True)
        ],
        "bare": bare,
        "judge": ours,
        "sound": all(turn["sound"] for turn in (*bare, *ours)),
    }


def _ask_bare(setting: Setting, turn: str, questions: Questions) -> dict[str, Any]:
    replies = setting.place / f"{turn}.jsonl"
    words = [sys.executable, str(HERE / "bare_client.py"), str(questions.file), str(replies)]
    words += [f"{setting.url}/{turn}/v1", "--concurrency", str(setting.concurrency)]
    words += ["--timeout", str(setting.timeout)]
    took = json.loads(
        subprocess.run(
            words, env=setting.env, stdout=subprocess.PIPE, check=True, timeout=HOUR
        ).stdout
    )
    ids = [json.loads(line)["id"] for line in replies.read_text(encoding="utf-8").splitlines()]
    log = read_log(setting.url, turn)
    return {
        **_rate(took["seconds"], len(questions.by_key)),
        "faults_met": kinds(log),
        "lost": took["lost"],
        "sound": not took["lost"] and sorted(ids) == sorted(questions.by_key),
    }


def _ask_judge(setting: Setting, turn: str, questions: Questions, *, again: bool) -> dict[str, Any]:
    """One run of the command; with `again` the same command once more, outside of the time."""
    _succeeded(setting.judge(turn, "--fail-on-error", "0.5"))
    folder, log = setting.folder(turn), read_log(setting.url, turn)
    status = json.loads((folder / "status.json").read_bytes())
    first = _account(folder, log, questions)
    found = {
        **_rate(status["seconds"]["judge"], len(questions.by_key)),
        "faults_met": kinds(log),
        "account": first.fields,
        "sound": first.sound,
    }
    if again:
        _succeeded(setting.judge(turn, "--fail-on-error", "0.5"))
        second = _account(folder, read_log(setting.url, turn), questions)
        declined = {line["question"] for line in log if line["kind"] == "refusal"}
        asked = {line["question"] for line in read_log(setting.url, turn)[len(log) :]}
        found["again"] = second.fields
        found["sound"] = first.sound and second.sound and asked == declined
    return found


def keep_to_budget(setting: Setting) -> dict[str, Any]:
    """A run that its budget stops, and that goes on with more: what the server counts of it."""
    questions = prepare(setting)
    allowed = round(SHARE * questions.charge, 4)
    turn, price = "budget", ",".join(map(str, PRICE))
    terms = ("--price", price, "--fail-on-error", "0.5", "--max-cost")
    stopped = setting.judge(turn, *terms, str(allowed))
    reached = REACHED.search(stopped.stderr)
    if stopped.returncode != 5 or reached is None:
        raise SystemExit(f"the budget did not stop it: {stopped.returncode}\n{stopped.stderr}")
    following, left = (float(number) for number in reached.groups())
    folder, log = setting.folder(turn), read_log(setting.url, turn)
    by_server, by_judge = float(charged(log, PRICE)), spent(folder)
    _succeeded(setting.judge(turn, *terms, str(10 * questions.charge)))
    log_of_both = read_log(setting.url, turn)
    whole = _account(folder, log_of_both, questions)
    return {
        "calls": len(questions.by_key),
        "price_per_million": PRICE,
        "max_cost": allowed,
        "requests_until_stopped": len(log),
        "charged_by_the_server": round(by_server, 6),
        "counted_by_the_judge": round(by_judge, 6),
        "left": left,
        "next_call_may_cost": following,
        "with_more": {
            "charged_by_the_server": round(float(charged(log_of_both, PRICE)), 6),
            "counted_by_the_judge": round(spent(folder), 6),
            "account": whole.fields,
        },
        "sound": by_server <= by_judge <= allowed
        and left < following
        and abs(allowed - by_judge - left) < 1e-4
        and float(charged(log_of_both, PRICE)) <= spent(folder)
        and whole.sound,
    }


def _account(folder: Path, log: list[dict[str, Any]], questions: Questions) -> Account:
    records = read_records(folder / FILE)
    return account(log, records, questions.asked_as(records))


def _rate(seconds: float, calls: int) -> dict[str, float]:
    return {"seconds": round(seconds, 3), "calls_per_second": round(calls / seconds, 2)}


def _succeeded(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise SystemExit(f"ppdbench judge ended with {done.returncode}\n{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
