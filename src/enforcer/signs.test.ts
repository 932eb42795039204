/** Promises about single decisions: a miner and a question for the machine's credentials are told with their process, once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventBody, EventProcess } from "../audit/event.ts";
import { Signs } from "./signs.ts";

function scene(onMachine = true) {
  const recorded: EventBody[] = [];
  const signs = new Signs({ onMachine: () => onMachine, record: (event) => void recorded.push(event) });
  return { recorded, signs, types: () => recorded.map(({ detection }) => detection?.type) };
}

const process = (more: Partial<EventProcess> = {}): EventProcess => ({
  pid: 7,
  exe: "/usr/bin/curl",
  args: ["curl"],
  uid: 1001,
  user: "runner",
  ancestors: [],
  step: "build",
  step_number: 2,
  step_by: "descent",
  action: null,
  container: null,
  runner: false,
  certain: true,
  ...more,
});

const connection = (ip: string, more: Partial<EventBody> = {}): EventBody => ({
  kind: "connection",
  verdict: "deny",
  source: { ip: "10.0.0.5", port: 40_000 },
  destination: { name: null, name_from: "none", ip, port: 443, protocol: "tcp" },
  process: process(),
  ...more,
});

test("a metadata service that a job's process asks", () => {
  const { recorded, signs } = scene();
  signs.see(connection("169.254.169.254"), 1_000);
  const [event] = recorded;
  assert.equal(event?.detection?.type, "metadata_service");
  assert.equal(event?.process?.step, "build");
  assert.equal(event?.detection?.verdict, "deny");
  assert.match(event?.message ?? "", /169\.254\.169\.254 .*asked by \/usr\/bin\/curl of step build/);
  const { process: _, ...unknown } = connection("fd00:ec2::254");
  signs.see(unknown, 1_000);
  assert.equal(recorded.length, 2, "who cannot be told is not taken for the machine's own");
});

test("a metadata service that the machine itself, its runner or a gateway's runner asks is none", () => {
  const { recorded, signs } = scene();
  signs.see(connection("168.63.129.16", { process: process({ step: null, uid: 0, exe: "/usr/bin/waagent" }) }), 1);
  signs.see(connection("169.254.169.254", { process: process({ step: null, runner: true }) }), 1);
  signs.see(connection("169.254.169.253"), 1);
  assert.deepEqual(recorded, []);
  const gateway = scene(false);
  gateway.signs.see(connection("169.254.169.254"), 1);
  assert.deepEqual(gateway.recorded, []);
});

test("a miner, by its words on any port and by its pool's name", () => {
  const { recorded, signs } = scene(false);
  signs.see(connection("203.0.113.5", { data: { speaks: "stratum" } }), 1);
  signs.see(
    { kind: "dns", verdict: "deny", destination: { name: "xmr-eu1.nanopool.org", name_from: "dns", protocol: "dns" } },
    1,
  );
  const named = (name_from: "sni" | "none") =>
    connection("203.0.113.6", {
      destination: { name: "pool.supportxmr.com", name_from, ip: "203.0.113.6", protocol: "tls" },
    });
  signs.see(named("sni"), 1);
  signs.see(named("none"), 1);
  assert.deepEqual(
    recorded.map(({ detection }) => `${detection?.type} ${String(detection?.sign)} ${String(detection?.pool)}`),
    ["mining stratum null", "mining pool nanopool.org", "mining pool supportxmr.com"],
  );
  signs.see(connection("203.0.113.7", { data: { speaks: "other" } }), 1);
  signs.see({ kind: "flow_end", destination: { name: "nanopool.org", name_from: "sni", protocol: "tls" } }, 1);
  assert.equal(recorded.length, 3);
});

test("the same again is counted, and said when the window closes", () => {
  const { recorded, signs } = scene();
  for (let i = 0; i < 50; i++) signs.see(connection("169.254.169.254"), i);
  assert.equal(recorded.length, 1);
  signs.see(connection("169.254.169.254", { process: process({ step: "other" }) }), 60);
  assert.equal(recorded.length, 2, "another step");
  signs.tick(Number.POSITIVE_INFINITY);
  assert.deepEqual(
    recorded.map(({ count }) => count),
    [undefined, undefined, 49],
  );
});
