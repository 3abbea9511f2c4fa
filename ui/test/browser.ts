/** What the modules ask of a browser when they are loaded. */
Object.assign(globalThis, {
  document: { baseURI: "http://127.0.0.1:8080/air/" },
  navigator: { languages: ["en"] },
});
