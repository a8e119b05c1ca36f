"""Lines over steps, as SVG."""
import html, math

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


def panels(tasks):
    """One picture of [(title, {kind: [curve a seed]})]: the seeds' mean over layers, lowest to highest shaded."""
    across, down, each_row = 400, 270, min(3, len(tasks))
    width, height = across * each_row, 34 + down * -(-len(tasks) // each_row)
    out = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
    out += f' width="{width}" height="{height}" font-family="system-ui,sans-serif" font-size="12">'
    out += '<rect width="100%" height="100%" fill="#fff"/>'
    for i, (kind, ink) in enumerate(zip(tasks[0][1], INK)):
        x = LEFT + 110 * i
        out += f'<path d="M{x} 18h26" stroke="{ink}" stroke-width="2.5"/><text x="{x + 33}" y="22">{kind}</text>'
    for number, (title, kinds) in enumerate(tasks):
        curves = [curve for part in kinds.values() for curve in part]
        layers, chance = curves[0]["layers"], 100 * curves[0]["chance"]
        high = max(115 * max(max(curve["values"]) for curve in curves), 1.1 * chance)
        x_of = lambda layer: LEFT + (across - LEFT - 24) * (layer - layers[0]) / max(1, layers[-1] - layers[0])
        y_of = lambda percent: 30 + (down - 70) * (1 - percent / high)
        out += f'<g transform="translate({across * (number % each_row)} {34 + down * (number // each_row)})" fill="#444">'
        out += f'<text x="{LEFT}" y="16" font-size="15" font-weight="600" fill="#222">{html.escape(title)}</text>'
        for y in ticks(high):
            out += f'<path d="M{LEFT} {y_of(y):.1f}H{across - 24}" stroke="#e4e7ed"/>'
            out += f'<text x="{LEFT - 7}" y="{y_of(y) + 4:.1f}" text-anchor="end">{y:g} %</text>'
        for layer in layers:
            out += f'<text x="{x_of(layer):.1f}" y="{down - 22}" text-anchor="middle">{layer}</text>'
        out += f'<text x="{LEFT}" y="{down - 5}" fill="#777">layer</text>'
        out += f'<path d="M{LEFT} {y_of(chance):.1f}H{across - 24}" stroke="#888" stroke-dasharray="2 3"/>'
        out += f'<text x="{across - 24}" y="{y_of(chance) + 14:.1f}" text-anchor="end" fill="#777">chance</text>'
        for part, ink in zip(kinds.values(), INK):
            each = [[100 * value for value in values] for values in zip(*(curve["values"] for curve in part))]
            point = lambda layer, value: f"{x_of(layer):.1f},{y_of(value):.1f}"
            band = [point(n, max(v)) for n, v in zip(layers, each)] + [
                point(n, min(v)) for n, v in reversed(list(zip(layers, each)))]
            mean = [point(n, sum(v) / len(v)) for n, v in zip(layers, each)]
            out += f'<polygon points="{" ".join(band)}" fill="{ink}" opacity=".18"/>'
            out += f'<polyline points="{" ".join(mean)}" fill="none" stroke="{ink}" stroke-width="2.2"/>'
        out += "</g>"
    return out + "</svg>\n"
