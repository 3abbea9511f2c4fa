/** The pages below /plugin/lockstep. */

import { Route, Routes } from "react-router-dom";
import { Live } from "./live/live";
import { ComparePage } from "./pages/ComparePage";
import { DataPage } from "./pages/DataPage";
import { DiffPage } from "./pages/DiffPage";
import { GroupPage } from "./pages/GroupPage";
import { GroupsPage } from "./pages/GroupsPage";
import { ReleasesPage } from "./pages/ReleasesPage";
import { SearchPage } from "./pages/SearchPage";
import { SnapshotPage } from "./pages/SnapshotPage";
import { VersionPage } from "./pages/VersionPage";
import { VersionsPage } from "./pages/VersionsPage";
import { WarningsPage } from "./pages/WarningsPage";
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
          <Route element={<VersionsPage />} path="groups/:group/versions" />
          <Route element={<VersionPage />} path="groups/:group/versions/:ref" />
          <Route element={<ComparePage />} path="groups/:group/compare" />
          <Route element={<ReleasesPage />} path="groups/:group/releases" />
          <Route element={<DiffPage />} path="groups/:group/releases/:digest" />
          <Route element={<DataPage />} path="groups/:group/data" />
          <Route element={<SnapshotPage />} path="groups/:group/data/:ref" />
          <Route element={<WarningsPage />} path="warnings" />
          <Route element={<SearchPage />} path="search" />
          <Route element={<Nothing title={words.app.notFound} />} path="*" />
        </Routes>
      </Frame>
    </Live>
  );
}
