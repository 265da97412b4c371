// Fields for secrets are known by their names, as the server knows them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { build } from "esbuild";

test("a name says whether a field is for a secret", async () => {
  const entryPoints = [new URL("../src/secret.ts", import.meta.url).pathname];
  const { outputFiles } = await build({ entryPoints, bundle: true, format: "esm", write: false });
  const { isSecretName } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
  const names = JSON.parse(readFileSync(new URL("../../crates/capture/tests/secret-names.json", import.meta.url)));
  assert.deepEqual(names.secret.filter((name) => !isSecretName(name)), []);
  assert.deepEqual(names.plain.filter(isSecretName), []);
});
