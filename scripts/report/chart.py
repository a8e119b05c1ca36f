"""Lines over steps, as SVG."""
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 230, 44, 14, 10, 26
INK = ("#0072b2", "#d55e00", "#009e73")  # Okabe & Ito: told apart with any kind of colour vision


def ticks(high):
    """Round numbers from 0 up, five at most, the last not above `high`."""
    least = high / 5
    power = 10 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
    return [step * i for i in range(int(high / step) + 1)]


def chart(title, unit, *series):
    """series: (name, [(step, value)]) each; axes from 0."""
    xs, ys = [[point[i] for _, points in series for point in points] for i in (0, 1)]
    high_x, high_y = max(xs), max(ys) * 1.05
    x_of = lambda x: LEFT + (WIDTH - LEFT - RIGHT) * x / high_x
    y_of = lambda y: TOP + (HEIGHT - TOP - BOTTOM) * (1 - y / high_y)
    legend = "".join(f'<span style="color:{ink}">{name}</span>' for (name, _), ink in zip(series, INK))
    out = f'<figure><figcaption>{title}{unit and f", {unit}"}<p>{legend}</p></figcaption>'
    out += f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" class="chart">'
    for y in ticks(high_y):
        out += f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(y):.1f}" y2="{y_of(y):.1f}" class="rule"/>'
        out += f'<text x="{LEFT - 7}" y="{y_of(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
    for x in ticks(high_x):
        out += f'<text x="{x_of(x):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{x:g}</text>'
    for (_, points), ink in zip(series, INK):
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        out += f'<polyline fill="none" stroke="{ink}" stroke-width="2.2" stroke-linejoin="round" points="{path}"/>'
        if len(points) < 20:
            out += "".join(f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.2" fill="{ink}"/>' for x, y in points)
    return out + "</svg></figure>"
