/**
 * `npm start` keeps its promises. Played where there is no network at all, so that it makes its own internet: every step
 * is real, the host is a network namespace, and nothing leaves it. Interrupted, it cleans up as well.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { addNamespace, deleteNamespace, listNamespaces } from "../src/kernel/namespace.ts";

const home = join(import.meta.dirname, "..");
const host = `sptour${process.pid}`;

before(() => addNamespace(host));
after(() => deleteNamespace(host));

interface Ended {
  code: number | null;
  output: string;
}

function start(onOutput: (output: string, interrupt: () => void) => void = () => {}): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn("ip", ["netns", "exec", host, "sh", join(home, "scripts/start")], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const take = (chunk: Buffer) => {
      output += chunk.toString();
      onOutput(output, () => child.kill("SIGINT"));
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("close", (code) => resolve({ code, output }));
  });
}

/** What a tour could leave behind outside its namespace. */
const leftovers = () => [
  ...readdirSync(tmpdir()).filter((name) => name.startsWith("sallyport-tour-")),
  ...listNamespaces("sptour").filter((name) => name !== host),
];

test("without a network it plays in a box, refuses every way out, and leaves the host as it was", async () => {
  const found = leftovers();
  const { code, output } = await start();
  assert.equal(code, 0, output);
  assert.match(output, /making an internet in a box/);
  for (const attempt of ["bare address", "unknown host", "another address", "DNS label", "resolver", "IPv6", "UDP"]) {
    assert.match(output, new RegExp(`${attempt}.* deny +default \\(tier 3\\) +(no_name|default)`), attempt);
  }
  assert.match(output, /The chain holds/);
  assert.match(output, /compared with the start, all the same/);
  assert.deepEqual(leftovers(), found);
});

test("Ctrl-C in the middle leaves the host as it was, too", async () => {
  const found = leftovers();
  let sent = false;
  const { code, output } = await start((text, interrupt) => {
    if (sent || !text.includes("Run it again, enforced")) return;
    sent = true;
    interrupt();
  });
  assert.equal(code, 130, output);
  assert.match(output, /compared with the start, all the same/);
  assert.deepEqual(leftovers(), found);
});
