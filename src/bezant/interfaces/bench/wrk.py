"""Load by wrk (Debian's package of that name), a native generator that leaves the CPU to the node."""

from __future__ import annotations

import json
import resource
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

# Every connection runs `request`; keys are UUIDv7 of one prefix a run and a count.
_SCRIPT = """
local accounts = {%(accounts)s}
local head = {["Authorization"] = "Bearer %(token)s", ["Content-Type"] = "application/json"}
local sent, started_ms = 0, %(started_ms)d
function request()
  sent = sent + 1
  local ms = started_ms + math.floor(sent / 16)
  local debtor = sent %% #accounts
  local other = 1 + math.floor(sent / #accounts) %% (#accounts - 1)
  head["Idempotency-Key"] = string.format("%%08x-%%04x-7%%03x-%%s%%08x",
    math.floor(ms / 65536), ms %% 65536, sent %% 4096, "%(run)s", sent)
  return wrk.format("POST", "/v1/payments", head, string.format(
    '{"debtor":"%%s","creditor":"%%s","instructed_amount":{"amount":"0.01","asset":"EUR"},' ..
    '"end_to_end_id":"load-%%d","remittance_information":"measuring"}',
    accounts[debtor + 1], accounts[(debtor + other) %% #accounts + 1], sent))
end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\nFIGURES{"requests":%%d,"us":%%d,"refused":%%d,"broken":%%d,"p50_us":%%d,"p99_us":%%d}\\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


# At a rate requests are due one step apart, and whichever connection is free takes the next. wrk waits in
# whole milliseconds and counts latency from when it sends: what waits for a free connection does not count.
_PACE = """
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long ns; } moment; int clock_gettime(int, moment*);")
local moment, first_us, taken, step_us = ffi.new("moment"), nil, 0, %(step_us).3f
function delay()
  ffi.C.clock_gettime(1, moment)
  local now_us = tonumber(moment.s) * 1e6 + tonumber(moment.ns) / 1e3
  first_us = first_us or now_us
  local due_us = first_us + taken * step_us
  taken = taken + 1
  return math.max(math.floor((due_us - now_us) / 1e3 + 0.5), 0)
end
"""


def has_wrk() -> bool:
    return shutil.which("wrk") is not None


def run_wrk(
    folder: Path,
    url: str,
    token: str,
    accounts: list[str],
    seconds: int,
    connections: int,
    per_second: float | None = None,
) -> dict[str, object]:
    """Return the figures of one run on one thread, as fast as requests are answered or at a rate; the script
    is written to `folder`."""
    script = folder / "load.lua"
    pace = "" if per_second is None else _PACE % {"step_us": 1e6 / per_second}
    script.write_text(
        _SCRIPT
        % {
            "accounts": ",".join(f'"{account}"' for account in accounts),
            "token": token,
            "started_ms": time.time_ns() // 1_000_000,
            "run": f"8{secrets.token_hex(2)[1:]}-{secrets.token_hex(2)}",
        }
        + pace,
        "ascii",
    )
    script.chmod(0o600)
    before = _children_cpu_s()
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url],
        capture_output=True,
        text=True,
        check=True,
    )
    spent = _children_cpu_s() - before
    script.unlink()
    figures: dict[str, Any] = json.loads(done.stdout.partition("FIGURES")[2])
    took = figures["us"] / 1e6
    return {
        "client": "wrk",
        "payments": figures["requests"],
        "payments_per_second": round(figures["requests"] / took),
        "p50_ms": round(figures["p50_us"] / 1e3, 2),
        "p99_ms": round(figures["p99_us"] / 1e3, 2),
        "connections": connections,
        "client_cpu_share": round(spent / took, 2),
        "statuses": {"not 2xx": figures["refused"], "broken": figures["broken"]},
    }


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
