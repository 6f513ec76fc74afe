"""The plot: CPU time per request, in groups of bars."""
from xml.sax.saxutils import escape

COLOURS = {"envoy": "#7f8c8d", "envoy-logging": "#b0b7b9", "nginx-lua": "#4b8bbe", "haproxy": "#c9a227", "hangup": "#c0392b",
           "hangup-guided": "#7b241c"}
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 860, 380, 60, 78, 40


def bars(peers, loads, load_titles, titles):
    """An SVG picture as text. The bars of a group are relative to the group's highest, and labelled in µs."""
    floor = HEIGHT - BOTTOM
    group = (WIDTH - LEFT) / len(loads)
    bar = group * 0.8 / len(peers)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15">CPU time per disconnect in microseconds, relative to the dearest of each load</text>',
    ]
    for number, name in enumerate(peers):
        x, y = LEFT + (number % 3) * 265, 42 + 18 * (number // 3)
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour(name)}"/>')
        parts.append(f'<text x="{x + 18}" y="{y}">{escape(titles.get(name, name))}</text>')
    for place, load in enumerate(loads):
        highest = max(peer[load]["cpu_us"] for peer in peers.values())
        start = LEFT + place * group
        for number, (name, peer) in enumerate(peers.items()):
            value = peer[load]["cpu_us"]
            height = (floor - TOP - 20) * value / highest
            x = start + number * bar
            parts.append(f'<rect x="{x:.1f}" y="{floor - height:.1f}" width="{bar - 4:.1f}" height="{height:.1f}" fill="{colour(name)}"/>')
            parts.append(f'<text x="{x + bar / 2 - 2:.1f}" y="{floor - height - 4:.1f}" text-anchor="middle">{value:.0f}</text>')
        parts.append(f'<text x="{start + group * 0.4:.1f}" y="{floor + 20}" text-anchor="middle">{escape(load_titles[load])}</text>')
    parts.append(f'<line x1="{LEFT - 8}" y1="{floor}" x2="{WIDTH}" y2="{floor}" stroke="#333333"/>')
    parts.append("</svg>\n")
    return "\n".join(parts)


def colour(name):
    return COLOURS.get(name, "#c0392b")
