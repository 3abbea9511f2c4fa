/** Whether Airflow's UI is dark at the moment: its root element carries the class. */

import { useSyncExternalStore } from "react";

const page = () => document.documentElement;

function watch(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  observer.observe(page(), { attributes: true, attributeFilter: ["class"] });
  return () => observer.disconnect();
}

export function useDark(): boolean {
  return useSyncExternalStore(watch, () => page().classList.contains("dark"));
}
