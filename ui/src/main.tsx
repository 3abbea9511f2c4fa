/**
 * Lockstep in Airflow's UI: one bundle for four places.
 *
 * Airflow's UI imports this file by its URL and takes the function that stands under the plugin's name on globalThis
 * (the names are those in plugins/lockstep_airflow/ui). It draws it by its own React, in its theme, below its router.
 */

import { App } from "./App";
import { Card } from "./places/Card";
import { GroupTab } from "./places/GroupTab";
import { MadeTab } from "./places/MadeTab";

Object.assign(globalThis, {
  Lockstep: App,
  LockstepCard: Card,
  "Release group": GroupTab,
  "Lockstep made": MadeTab,
});
