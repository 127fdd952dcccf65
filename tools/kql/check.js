// Checks queries with Microsoft's language service: {name: text} on standard input, {name: [message]} on standard output.
// Its modules register themselves in the global object.
"use strict";
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");
const [folder, tables] = process.argv.slice(2);
const load = createRequire(`${folder}/package.json`);
load("@kusto/language-service-next/bridge.min.js");
load("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

const { DatabaseSymbol, TableSymbol } = Kusto.Language.Symbols;
const symbols = Object.entries(JSON.parse(readFileSync(tables, "utf8"))).map(([name, columns]) => {
  const schema = Object.entries(columns).map(([column, type]) => `${column}: ${type}`);
  return new TableSymbol.$ctor7(name, `(${schema.join(", ")})`, "");
});
const globals = Kusto.Language.GlobalState.Default.WithDatabase(new DatabaseSymbol.ctor("logs", symbols));

const found = {};
for (const [name, text] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  const said = Kusto.Language.KustoCode.ParseAndAnalyze(text, globals).GetDiagnostics();
  found[name] = Array.from({ length: said.Count }, (_, at) => `${said.getItem(at).Code}: ${said.getItem(at).Message}`);
}
console.log(JSON.stringify(found));
