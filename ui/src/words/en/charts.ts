const day = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });
const second = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const time = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit" });
const month = new Intl.DateTimeFormat("en", { month: "short", year: "numeric" });

export const charts = {
  series: "Series",
  share: "Share of rows",
  /** A time at the axis, of a chart that spans so many days. */
  tick: (at: Date, days: number) => (days > 400 ? month : days > 2 ? day : days > 0.01 ? time : second).format(at),
};
