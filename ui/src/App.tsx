/** The pages below /plugin/lockstep. */

import { Route, Routes } from "react-router-dom";
import { Live } from "./live/live";
import { GroupPage } from "./pages/GroupPage";
import { GroupsPage } from "./pages/GroupsPage";
import { Frame } from "./parts/Frame";
import { Nothing } from "./parts/State";
import { words } from "./words";

export function App() {
  return (
    <Live>
      <Frame>
        <Routes>
          <Route element={<GroupsPage />} index />
          <Route element={<GroupPage />} path="groups/:group" />
          <Route element={<Nothing title={words.app.notFound} />} path="*" />
        </Routes>
      </Frame>
    </Live>
  );
}
