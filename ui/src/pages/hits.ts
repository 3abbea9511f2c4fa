/** Where a hit leads, and which one the keys go to. */

import type { Hit } from "../api/types";
import { to } from "../parts/address";

export function addressOf({ group, ref, digest, node }: Hit): string {
  if (digest) return to.diff(group, digest);
  if (ref) return to.version(group, ref); // that of a snapshot leads on to its own page
  if (node) return to.versions(group, node);
  return to.group(group);
}

/** The next place in a list of `length`, -1 being the box above it. */
export function moved(at: number, key: string, length: number): number | null {
  if (length === 0) return null;
  if (key === "ArrowDown") return Math.min(at + 1, length - 1);
  if (key === "ArrowUp") return Math.max(at - 1, -1);
  if (key === "Home" && at >= 0) return 0;
  if (key === "End" && at >= 0) return length - 1;
  return null;
}
