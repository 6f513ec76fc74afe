"""Medians, ratios to Envoy, tables, and the page that keeps them."""
import statistics

from . import plot, tools
from .peers import TITLES

LOAD_TITLES = {"1": "1 connection", "16": "16", "64": "64", "fixed": "200/s"}


def progress(number, rounds, name, sample):
    cells = [f"{load} {answered['cpu_us']:.1f}" for load, answered in sample["loads"].items()]
    print(f"round {number}/{rounds} {name:14} CPU us/request: {', '.join(cells)}; first 2xx {sample['first_ms']:.0f} ms", flush=True)


def medians(samples, loads):
    """The medians over the rounds, by peer."""
    found = {}
    for name, rounds in samples.items():
        middle = lambda take: statistics.median(take(one) for one in rounds)
        found[name] = {key: middle(lambda one: one[key]) for key in ("first_ms", "idle_mib", "peak_mib")}
        for load in loads:
            keys = ("cpu_us", "p50_us", "p99_us", "rate")
            found[name][load] = {key: middle(lambda one: one["loads"][load][key]) for key in keys}
            figures = [one["loads"][load]["cpu_us"] for one in rounds]
            found[name][load]["spread"] = (min(figures), max(figures))
    return {"peers": found}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def markdown(results, loads):
    """All tables."""
    peers, blocks = results["peers"], []
    titles = [LOAD_TITLES[load] for load in loads]
    title = lambda name: TITLES.get(name, name)

    def block(caption, head, cell):
        rows = [[title(name), *[cell(peer, load) for load in loads]] for name, peer in peers.items()]
        blocks.append(f"{caption}\n\n" + table([head, *titles], rows))

    block("CPU time per request in µs (lowest and highest round):", "", lambda peer, load: spread(peer[load]))
    # The first peer is what the others are measured against: Envoy, where it takes part.
    first = next(iter(peers))
    block(f"CPU time per request, as a ratio to {title(first)}:", "", lambda peer, load: ratio(peer[load], peers[first][load], "cpu_us"))
    block("Latency, median and 99th percentile, in µs:", "", lambda peer, load: f"{peer[load]['p50_us']:,.0f} / {peer[load]['p99_us']:,.0f}")
    block(f"99th percentile, as a ratio to {title(first)}:", "", lambda peer, load: ratio(peer[load], peers[first][load], "p99_us"))
    block("Requests per second:", "", lambda peer, load: f"{peer[load]['rate']:,.0f}")
    rows = [[title(name), f"{p['idle_mib']:.1f}", f"{p['peak_mib']:.1f}", f"{p['first_ms']:.0f}"] for name, p in peers.items()]
    blocks.append("Memory and start:\n\n" + table(["", "idle RSS, MiB", "peak RSS, MiB", "first 2xx, ms"], rows))
    conditions = [f"- {name}: {value}" for name, value in results["conditions"].items()]
    blocks.append("Conditions:\n\n" + "\n".join(conditions))
    return "\n\n".join(blocks)


def spread(figures):
    low, high = figures["spread"]
    return f"{figures['cpu_us']:.1f} ({low:.1f} to {high:.1f})"


def ratio(figures, base, key):
    return f"{figures[key] / base[key]:.2f}" if base[key] else "?"


def write_docs(results, loads, suffix):
    """Puts the figures between their marks in the page, and the plot beside it."""
    picture = f"performance{suffix}.svg"
    put(f"figures{suffix}", f"![CPU time per request]({picture})\n\n{markdown(results, loads)}")
    (tools.ROOT / "docs" / picture).write_text(plot.bars(results["peers"], loads, LOAD_TITLES, TITLES))


def put(name, text):
    """Replaces what stands between the marks of this name in docs/PERFORMANCE.md."""
    begin, end = f"<!-- {name}: written by bench -->", f"<!-- end of {name} -->"
    page = tools.ROOT / "docs/PERFORMANCE.md"
    before, rest = page.read_text().split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
