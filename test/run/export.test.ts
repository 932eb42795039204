/**
 * Promises about a run with `--config`: its sinks have its record when it ends, the last word too; what one has not got is said and
 * the next run sends it; the command sees no secret of a sink, and leads root to no file.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Event } from "../../src/audit/event.ts";
import { curl, Host } from "./support.ts";

let host: Host;
let state: string;
let output: string;

before(async () => {
  host = await Host.create();
  state = join(host.home, "state");
  output = join(host.home, "out.ndjson");
});
after(() => host?.close());

function configuration(...sinks: string[]): string {
  const file = join(host.home, "sallyport.config.yaml");
  writeFileSync(file, `version: 1\nexport:\n${sinks.map((sink) => `  - { ${sink} }\n`).join("")}`);
  return file;
}

const eventsIn = (path: string): Event[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Event);

test("the sink has all of the record when the run ends, and what is absent is said, with the exit code the command's", async () => {
  const absent = 'name: absent, to: webhook, url: "http://127.0.0.1:9/in", headers: { authorization: { env: HOOK } }';
  const config = configuration(`name: local, to: file, path: ${output}`, absent);
  const script = `${curl("https://allowed.example/").join(" ")} >/dev/null; env | grep -c HOOK; exit 7`;
  const { code, stdout, stderr } = await host.run(
    ["--allow", "allowed.example", "--state", state, "--config", config, "--", "sh", "-c", script],
    { env: { HOOK: "Bearer t0psecret" } },
  );
  assert.equal(code, 7, stderr);
  assert.equal(stdout, "0\n", "the command has no secret of a sink");
  const events = eventsIn(output);
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, i) => i + 1),
  );
  const head = JSON.parse(readFileSync(join(state, "events/head.json"), "utf8")) as { hash: string };
  assert.equal(events.at(-1)!.hash, head.hash);
  assert.ok(events.some(({ kind, destination }) => kind === "connection" && destination?.name === "allowed.example"));
  assert.match(stderr, /sending the last of the record to local, absent; this takes at most 10 s/);
  const said = new RegExp(
    `warning: sink absent has not got ${events.length} records \\(.*ECONNREFUSED.*\\); they are kept: the next run with`,
  );
  assert.match(stderr, said);
  assert.doesNotMatch(stderr, /sink local|t0psecret|Bearer/);
});

test("the next run sends what a sink has not got, first", async () => {
  const late = join(host.home, "late.ndjson");
  const config = configuration(`name: absent, to: file, path: ${late}`);
  const { code, stderr } = await host.run(["-q", "--state", state, "--config", config, "--", "true"]);
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /has not got/);
  const events = eventsIn(late);
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, i) => i + 1),
  );
  assert.ok(events.length > eventsIn(output).length);
});

test("without --state, and with a file where the command could put something else, nothing is run", async () => {
  const config = configuration(`name: local, to: file, path: ${join(host.home, "of-user/out")}`);
  const mark = join(host.home, "ran");
  const stateless = await host.run(["--config", config, "--", "touch", mark]);
  assert.equal(stateless.code, 2);
  assert.match(stateless.stderr, /--config needs --state DIR: what a sink has not got/);
  mkdirSync(join(host.home, "of-user"));
  await host.exec("chown", ["4242", join(host.home, "of-user")]);
  const env = { SUDO_UID: "4242", SUDO_GID: "4242" };
  const led = await host.run(["--state", `${state}-2`, "--config", config, "--", "touch", mark], { env });
  assert.equal(led.code, 2);
  assert.match(led.stderr, /Root would write .*of-user\/out, and the command could put something else there/);
  assert.ok(!existsSync(mark));
});
