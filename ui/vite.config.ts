import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { esmExternalRequirePlugin } from "rolldown/plugins";
import { minifySync } from "rolldown/utils";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

// What Airflow's UI puts on globalThis for its plugins: these are not bundled, so that our components are drawn by
// Airflow's own React, in its theme and below its router.
const host: Record<string, string> = {
  react: "React",
  "react-dom": "ReactDOM",
  "react/jsx-runtime": "ReactJSXRuntime",
  "react-router-dom": "ReactRouterDOM",
  "@chakra-ui/react": "ChakraUI",
  "@emotion/react": "EmotionReact",
};

// The layout of the graph is reckoned in a worker, which is a file of its own: it is fetched where a graph is shown.
const elkWorker: Plugin = {
  name: "elk-worker",
  generateBundle() {
    const file = fileURLToPath(import.meta.resolve("elkjs/lib/elk-worker.min.js"));
    // a worker has its globals for itself, so that their names may be short, too: a twentieth less goes over the wire
    const { code, errors } = minifySync("elk-worker.js", readFileSync(file, "utf8"), { mangle: { toplevel: true } });
    if (errors.length) throw new Error(`elk-worker.js: ${errors.map(({ message }) => message).join("; ")}`);
    this.emitFile({ type: "asset", fileName: "elk-worker.js", source: code });
  },
};

export default defineConfig({
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  plugins: [elkWorker],
  build: {
    outDir: "../plugins/lockstep_airflow/ui/dist",
    emptyOutDir: true,
    target: "es2022",
    reportCompressedSize: true,
    // One file: Airflow's UI imports it by its URL, and takes the components from globalThis.
    lib: { entry: "src/main.tsx", formats: ["iife"], name: "lockstepUi", fileName: () => "main.js" },
    rolldownOptions: {
      // also where an old package says require("react")
      plugins: [esmExternalRequirePlugin({ external: Object.keys(host) })],
      output: { globals: host },
      // "use client" means nothing here
      onLog: (level, log, handle) => {
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") handle(level, log);
      },
    },
  },
  test: { setupFiles: ["test/browser.ts"], include: ["test/**/*.test.ts", "test/**/*.test.tsx"] },
});
