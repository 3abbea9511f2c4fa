/**
 * The words of the pages, in the user's language.
 *
 * Rules:
 * - Airflow's own choice of a language counts first (it keeps it in localStorage), then the browser's.
 * - A language that we don't have is English. What people wrote, as reasons and notes, stays as it was written.
 * - Each language has every text: the types see to it.
 */

import { en } from "./en";
import { ja } from "./ja";

export type Words = typeof en;
export type Language = "en" | "ja";

const languages: Record<Language, Words> = { en, ja };

/** The language to speak, out of what Airflow keeps and what the browser likes. */
export function chosen(kept: string | null, liked: readonly string[]): Language {
  for (const one of kept ? [kept, ...liked] : liked) {
    const base = one.toLowerCase().split("-")[0];
    if (base === "en" || base === "ja") return base;
    if (one === kept) return "en"; // Airflow speaks a language that we don't have
  }
  return "en";
}

function kept(): string | null {
  try {
    return localStorage.getItem("i18nextLng");
  } catch {
    return null; // a browser that allows no storage
  }
}

export const language: Language = chosen(kept(), navigator.languages);
export const words: Words = languages[language];

const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
const absolute = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const figures = new Intl.NumberFormat(language, { maximumSignificantDigits: 4 });
const whole = new Intl.NumberFormat(language);
const shares = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });

const SPANS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** "3 hours ago" */
export function ago(iso: string, now: number = Date.now()): string {
  const seconds = (new Date(iso).getTime() - now) / 1000;
  for (const [unit, span] of SPANS) {
    if (Math.abs(seconds) >= span) return relative.format(Math.trunc(seconds / span), unit);
  }
  return relative.format(Math.min(0, Math.trunc(seconds)), "second");
}

const date = new Intl.DateTimeFormat(language, { dateStyle: "long" });

export const day = (iso: string): string => date.format(new Date(iso));
export const at = (iso: string): string => absolute.format(new Date(iso));
const tiny = new Intl.NumberFormat(language, { maximumSignificantDigits: 3, notation: "scientific" });

export function figure(value: number | null | undefined): string {
  if (value == null) return "–";
  return value !== 0 && Math.abs(value) < 1e-4 ? tiny.format(value) : figures.format(value);
}
export const count = (value: number): string => whole.format(value);
export const share = (value: number | null | undefined): string => (value == null ? "–" : shares.format(value));

const changes = new Intl.NumberFormat(language, { maximumSignificantDigits: 3, signDisplay: "exceptZero" });
const points = new Intl.NumberFormat(language, {
  maximumFractionDigits: 1,
  signDisplay: "exceptZero",
  style: "percent",
});
const sizes = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

/** "+0.012" */
export const signed = (value: number | null | undefined): string => (value == null ? "–" : changes.format(value));
/** "+1.2%", of a share that has become another */
export const signedShare = (value: number | null | undefined): string => (value == null ? "–" : points.format(value));

/** "1.5 MB" */
export function bytes(size: number): string {
  const step = Math.min(sizes.length - 1, size > 0 ? Math.floor(Math.log10(size) / 3) : 0);
  const unit = sizes[step] ?? "byte";
  return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: 1 }).format(size / 1000 ** step);
}
