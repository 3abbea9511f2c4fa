/**
 * A chart with numbers on both axes: lines, steps, filled steps (histograms), points; marks, limits and spans.
 *
 * Rules:
 * - It says in words what it shows, to whoever can't see it, and shows the same numbers as a table.
 * - It is drawn in the colours of Airflow's theme, again when the theme or the width changes, and anew only when what
 *   it shows has changed: its properties are plain data.
 */

import { Box, Button, Flex, Text } from "@chakra-ui/react";
import { memo, useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import css from "uplot/dist/uPlot.min.css?inline";
import { at, count, figure, share, words } from "../words";
import { aligned, type Points } from "./align";
import { dashOf, faint, type Ink, ink, isDark, onTheme, SERIES } from "./colours";
import { Numbers } from "./Numbers";

export interface Series extends Points {
  label: string;
  draw: "line" | "step" | "filled" | "points";
  /** Which colour and dash, where it is not the place in the list. */
  like?: number;
}

export type Format = "figure" | "share" | "count" | "time";

export interface ChartProps {
  caption: string;
  /** What it shows, in a sentence, for who can't see it. */
  says: string;
  xLabel: string;
  yLabel: string;
  series: Series[];
  xFormat?: Format;
  yFormat?: Format;
  /** Vertical lines, as a chosen threshold. */
  marks?: { at: number; label: string; like?: number }[];
  /** Horizontal lines, as what is allowed. */
  limits?: { at: number; label: string }[];
  /** Between which x something is uncertain. */
  spans?: { from: number; to: number; label: string; like?: number }[];
  xRange?: [number, number];
  yRange?: [number, number];
  height?: number;
  /** Amounts: the axis begins at zero. */
  fromZero?: boolean;
}

const SHOWN: Record<Format, (value: number) => string> = {
  figure,
  share,
  count,
  time: (value) => at(new Date(value).toISOString()),
};

export const shown = (value: number | null | undefined, format: Format): string =>
  value == null ? "–" : SHOWN[format](value);

export const Chart = memo(Drawn, (one, other) => JSON.stringify(one) === JSON.stringify(other));

function Drawn(props: ChartProps) {
  const [asTable, setAsTable] = useState(false);
  const { caption } = props;
  const notes = notesOf(props);
  return (
    <Box as="figure" minWidth={0} role="group" aria-label={caption}>
      <Flex align="baseline" gap={2} justify="space-between">
        <Text as="figcaption" fontSize="sm" fontWeight="medium">
          {caption}
        </Text>
        <Button aria-pressed={asTable} flexShrink={0} onClick={() => setAsTable(!asTable)} size="2xs" variant="ghost">
          {asTable ? words.app.asPlot : words.app.asTable}
        </Button>
      </Flex>
      {asTable ? <Numbers {...props} /> : <Canvas {...props} />}
      {notes.length > 0 && (
        <Text color="fg.muted" fontSize="xs" mt={1}>
          {notes.join(" · ")}
        </Text>
      )}
    </Box>
  );
}

/** The marks, limits and spans in words: a canvas tells nothing to who can't see it. */
function notesOf({
  marks = [],
  limits = [],
  spans = [],
  xFormat = "figure",
  yFormat = "figure",
}: ChartProps): string[] {
  return [
    ...marks.map((mark) => `${mark.label} ${shown(mark.at, xFormat)}`),
    ...limits.map((limit) => `${limit.label} ${shown(limit.at, yFormat)}`),
    ...spans.map(({ label, from, to }) => `${label} ${shown(from, xFormat)}–${shown(to, xFormat)}`),
  ];
}

function Canvas(props: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const [hovered, setHovered] = useState<number | null>(null);
  const { says, series, height = 200, xFormat = "figure", yFormat = "figure" } = props;
  const rows = aligned(series);

  // biome-ignore lint/correctness/useExhaustiveDependencies: drawn anew when it shows something else (see `Chart`)
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    let now = ink(element);
    const plot = new uPlot(
      options(props, () => now, Math.max(element.clientWidth, 120), setHovered),
      rows,
      element,
    );
    const resized = new ResizeObserver(() => {
      if (element.clientWidth > 0 && element.clientWidth !== plot.width) {
        plot.setSize({ width: element.clientWidth, height });
      }
    });
    resized.observe(element);
    const unwatch = onTheme(() => {
      now = ink(element);
      plot.redraw(false);
    });
    return () => {
      unwatch();
      resized.disconnect();
      plot.destroy();
    };
  }, [props]);

  const at = hovered === null ? null : rows[0][hovered];
  return (
    <>
      <style>{css}</style>
      <Box aria-label={says} minHeight={`${height}px`} minWidth={0} overflow="hidden" ref={place} role="img" />
      <Flex aria-hidden columnGap={4} flexWrap="wrap" fontSize="xs" minHeight="1.5em" rowGap={0}>
        {series.map(({ label, like, draw }, index) => (
          <Flex align="center" gap={1} key={label}>
            <Swatch filled={draw === "filled"} like={like ?? index} />
            {label}
            {hovered !== null && <b>{shown(rows[index + 1]?.[hovered], yFormat)}</b>}
          </Flex>
        ))}
        {at != null && (
          <Text color="fg.muted" ml="auto">
            {props.xLabel} {shown(at, xFormat)}
          </Text>
        )}
      </Flex>
    </>
  );
}

/** A bit of the line, as it is drawn. */
export function Swatch({ like, filled = false }: { like: number; filled?: boolean }) {
  const of = (mode: "light" | "dark") => SERIES[mode][like % SERIES[mode].length] ?? "";
  return (
    <Box asChild color={{ _light: of("light"), _dark: of("dark") }} flexShrink={0}>
      <svg aria-hidden="true" height="10" width="22">
        {filled ? (
          <rect fill="currentColor" fillOpacity="0.35" height="9" stroke="currentColor" width="20" x="1" y="0.5" />
        ) : (
          <line
            stroke="currentColor"
            strokeDasharray={dashOf(like).join(" ")}
            strokeWidth="2"
            x1="0"
            x2="22"
            y1="5"
            y2="5"
          />
        )}
      </svg>
    </Box>
  );
}

function options(
  props: ChartProps,
  now: () => Ink,
  width: number,
  hover: (index: number | null) => void,
): uPlot.Options {
  const { series, xFormat = "figure", yFormat = "figure", xRange, yRange, height = 200 } = props;
  const colour = (like: number) => now().series[like % now().series.length] ?? now().text;
  const axis = (label: string): uPlot.Axis => ({
    stroke: () => now().muted,
    font: "12px sans-serif",
    labelFont: "12px sans-serif",
    label,
    labelSize: 18,
    labelGap: 0,
    grid: { stroke: () => now().grid, width: 1 },
    ticks: { stroke: () => now().grid, width: 1, size: 4 },
  });
  return {
    width,
    height,
    ms: 1,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
    scales: {
      x: { time: xFormat === "time", ...(xRange && { range: xRange }) },
      y: { range: (_, low, high) => yRange ?? withLimits(props, low, high) },
    },
    axes: [
      {
        ...axis(props.xLabel),
        size: 30,
        space: xFormat === "time" ? 90 : 50,
        values: (_, splits) => ticks(splits, xFormat),
      },
      { ...axis(props.yLabel), size: 48, space: 32, values: (_, splits) => ticks(splits, yFormat) },
    ],
    series: [
      {},
      ...series.map((one, index): uPlot.Series => {
        const like = one.like ?? index;
        const step = one.draw === "step" || one.draw === "filled";
        const stepped = uPlot.paths.stepped?.({ align: 1 });
        return {
          label: one.label,
          stroke: () => colour(like),
          width: 2,
          dash: one.draw === "filled" ? [] : dashOf(like),
          points: { show: one.draw === "points" || one.x.length === 1, size: 6, stroke: () => colour(like) },
          ...(step && stepped && { paths: stepped }),
          ...(one.draw === "filled" && { fill: () => faint(colour(like), 0.3) }),
        };
      }),
    ],
    hooks: {
      drawAxes: [(plot) => drawSpans(plot, props, now())],
      draw: [(plot) => drawMarks(plot, props, now())],
      setCursor: [(plot) => hover(plot.cursor.idx ?? null)],
    },
  };
}

/** The ends of the y axis: what is drawn and what is allowed, with some room above. */
function withLimits(
  { limits = [], series, fromZero = false }: ChartProps,
  low: number,
  high: number,
): [number, number] {
  const filled = fromZero || series.some(({ draw }) => draw === "filled");
  const all = limits.map((limit) => limit.at);
  const least = Math.min(...all, low ?? 0, ...(filled ? [0] : []));
  const most = Math.max(...all, high ?? 1);
  const room = (most - least || Math.abs(most) || 1) * 0.08;
  return [least >= 0 && (filled || least - room < 0) ? 0 : least - room, most + room];
}

function ticks(splits: number[], format: Format): string[] {
  if (format !== "time") return splits.map((value) => (value == null ? "" : SHOWN[format](value)));
  const days = ((splits.at(-1) ?? 0) - (splits[0] ?? 0)) / 86_400_000;
  return splits.map((value) => words.charts.tick(new Date(value), days));
}

function drawSpans(plot: uPlot, { spans = [] }: ChartProps, now: Ink): void {
  const { ctx, bbox } = plot;
  for (const span of spans) {
    const left = plot.valToPos(span.from, "x", true);
    const right = plot.valToPos(span.to, "x", true);
    ctx.save();
    ctx.fillStyle = faint(now.series[(span.like ?? 0) % now.series.length] ?? "#888888", isDark() ? 0.25 : 0.15);
    ctx.fillRect(left, bbox.top, Math.max(right - left, 1), bbox.height);
    ctx.restore();
  }
}

function drawMarks(plot: uPlot, { marks = [], limits = [] }: ChartProps, now: Ink): void {
  const { ctx, bbox } = plot;
  const dots = devicePixelRatio;
  ctx.save();
  ctx.font = now.font.replace("12px", `${12 * dots}px`);
  ctx.textBaseline = "top";
  ctx.lineWidth = 1.5 * dots;
  marks.forEach((mark, index) => {
    const x = plot.valToPos(mark.at, "x", true);
    if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) return;
    const colour = mark.like === undefined ? now.text : (now.series[mark.like % now.series.length] ?? now.text);
    ctx.strokeStyle = colour;
    ctx.setLineDash(mark.like ? dashOf(mark.like).map((part) => part * dots) : []);
    line(ctx, x, bbox.top, x, bbox.top + bbox.height);
    const right = x + ctx.measureText(mark.label).width + 6 * dots > bbox.left + bbox.width;
    ctx.textAlign = right ? "right" : "left";
    written(ctx, mark.label, x + (right ? -5 : 5) * dots, bbox.top + (2 + index * 15) * dots, now, now.text);
  });
  for (const limit of limits) {
    const y = plot.valToPos(limit.at, "y", true);
    ctx.strokeStyle = now.warn;
    ctx.setLineDash([4 * dots, 4 * dots]);
    line(ctx, bbox.left, y, bbox.left + bbox.width, y);
    ctx.textAlign = "left";
    written(ctx, limit.label, bbox.left + 4 * dots, y - 15 * dots, now, now.warn);
  }
  ctx.restore();
}

/** A word on the ground of the page, so that no line goes through it. */
function written(ctx: CanvasRenderingContext2D, text: string, x: number, y: number, now: Ink, colour: string): void {
  const { width } = ctx.measureText(text);
  ctx.globalAlpha = 0.8;
  ctx.fillStyle = now.ground;
  ctx.fillRect(ctx.textAlign === "right" ? x - width : x, y, width, 13 * devicePixelRatio);
  ctx.globalAlpha = 1;
  ctx.fillStyle = colour;
  ctx.fillText(text, x, y);
}

function line(ctx: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}
