/** The charts of a version: its curves, and how far its probabilities can be trusted. */

import { Stack } from "@chakra-ui/react";
import type { VersionPage } from "../api/types";
import { Chart } from "../charts/Chart";
import { Section } from "../parts/Section";
import { figure, words } from "../words";
import { byAxes, type Overlay } from "./compare";

const UNIT: [number, number] = [0, 1];

export function Curves({ page }: { page: VersionPage }) {
  const overlays = byAxes(page.curves);
  if (overlays.length === 0) return null;
  return (
    <Section title={words.version.curves}>
      <Stack gap={4}>
        {overlays.map((overlay) => (
          <CurveChart key={`${overlay.x_label} ${overlay.y_label}`} overlay={overlay} />
        ))}
      </Stack>
    </Section>
  );
}

export function CurveChart({ overlay, height = 220 }: { overlay: Overlay; height?: number }) {
  const { name, x_label, y_label, curves } = overlay;
  const what = words.version.curve(y_label, x_label);
  const caption = name ? `${name}: ${what}` : what;
  const points = curves.reduce((all, { curve }) => all + curve.x.length, 0);
  const unit = curves.every(({ curve }) => [...curve.x, ...curve.y].every((value) => value >= 0 && value <= 1));
  return (
    <Chart
      caption={caption}
      height={height}
      says={words.version.curveSays(caption, curves.map(({ label }) => label).join(", "), points)}
      series={curves.map(({ label, curve }) => ({ label, x: curve.x, y: curve.y, draw: "line" }))}
      xLabel={x_label}
      yLabel={y_label}
      {...(unit && { xRange: UNIT, yRange: UNIT })}
    />
  );
}

export function Calibration({ page }: { page: VersionPage }) {
  const { calibration, interval, figures, kind } = page;
  if (!calibration) return null;
  const value = kind === "threshold" ? figures.value : null;
  return (
    <Section title={words.version.calibration}>
      <Chart
        caption={`${words.version.brier} ${figure(calibration.brier_score)}`}
        says={words.version.calibrationSays(figure(calibration.brier_score))}
        series={[
          { label: words.version.observed, x: calibration.predicted, y: calibration.observed, draw: "points" },
          { label: words.version.perfect, x: UNIT, y: UNIT, draw: "line", like: 5 },
        ]}
        xLabel={words.version.predicted}
        xRange={UNIT}
        yLabel={words.version.observed}
        yRange={UNIT}
        {...(value != null && { marks: [{ at: value, label: words.version.cut }] })}
        {...(interval &&
          value != null && { spans: [{ from: interval.low, to: interval.high, label: words.version.interval }] })}
      />
    </Section>
  );
}
