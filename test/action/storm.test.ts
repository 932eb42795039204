/**
 * The promise of attribution on a busy machine: hundreds of processes that fork, connect and end within milliseconds are each told of
 * their step, and let through by its rule alone; so is a step that is over as fast, and what a step left running while the next one
 * runs. Two programs compute beside them all the while. And UDP ports that were allowed for one step are nobody else's.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { JobReport } from "../../src/machine/job-report.ts";
import { requireTools } from "../lab/tools.ts";
import { Busy } from "./busy.ts";
import { type JobResult, Runner, type Step } from "./harness.ts";

const far = "203.0.113.91";
const many = 200;
/** Beside them, and of what a step left running. */
const others = 50;
const steps = { storm: 9_201, left: 9_203, beside: 9_204, holder: 9_210 } as const;
const hasty = Array.from({ length: 8 }, (_, i) => ({ step: `hasty-${i}`, port: 9_300 + i }));
const allowed = [
  { step: "storm", port: steps.storm, protocol: "udp" },
  { step: "storm", port: steps.storm + 1, protocol: "tcp" },
  { step: "storm", port: steps.left, protocol: "udp" },
  { step: "beside", port: steps.beside, protocol: "udp" },
  { step: "holder", port: steps.holder, protocol: "udp" },
  ...hasty.map((each) => ({ ...each, protocol: "udp" })),
];
const policy = [
  "version: 1",
  "sources:",
  ...[...new Set(allowed.map(({ step }) => step))].map((step) => `  ${step}: { process: { step: ${step} } }`),
  "rules:",
  ...allowed.map(
    ({ step, port, protocol }) =>
      `  - { name: "${port}", from: ${step}, to: ${far}/32, protocol: ${protocol}, ports: [${port}] }`,
  ),
  "",
].join("\n");

/**
 * Each process is gone before anybody can look: by UDP, and to the port after it by TCP where that is asked for. Ports of their own: of
 * two that get the same one within seconds the second one's first datagram is lost.
 */
const storm = `import os, socket, sys
port, many, tcp = int(sys.argv[1]), int(sys.argv[2]), len(sys.argv) > 3
for i in range(many):
    if os.fork() == 0:
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(("", 10000 + port % 100 * ${many} + i))
        u.sendto(b"x", ("${far}", port))
        if tcp:
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("${far}", port + 1))
        os._exit(0)
    if i % 8 == 7:
        os.wait()
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
`;
/** From one port again and again, whoever had it before. */
const datagram = `import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 40123))
for i in range(int(sys.argv[2])):
    try:
        s.sendto(sys.argv[1].encode(), ("${far}", ${steps.holder}))
    except PermissionError:
        pass
    time.sleep(0.3)
`;

describe("a storm of short processes on a busy machine", { timeout: 280_000 }, () => {
  let runner: Runner;
  let job: JobResult;
  let report: JobReport;
  let busy: Busy | null = null;
  const marks = { holder: "", thief: "" };

  before(async () => {
    requireTools(["sudo"]);
    runner = await Runner.create({ policy });
    marks.holder = runner.host.lab.marker();
    marks.thief = runner.host.lab.marker();
    writeFileSync(join(runner.home, "storm.py"), storm);
    writeFileSync(join(runner.home, "datagram.py"), datagram);
    const python = (name: string, ...args: (string | number)[]) =>
      `python3 ${runner.home}/${name}.py ${args.join(" ")}`;
    busy = new Busy(runner);
    const left = `until [ -e ${runner.home}/go ]; do sleep 0.1; done; ${python("storm", steps.left, others)}; touch ${runner.home}/gone`;
    const quick = ({ step, port }: { step: string; port: number }): Step => ({
      id: step,
      run: `echo x > /dev/udp/${far}/${port}`,
    });
    job = await runner.run(
      [
        runner.sallyport(),
        busy.step,
        {
          id: "storm",
          run: `(setsid bash -c '${left}' > /dev/null 2>&1 &)\n${python("storm", steps.storm, many, "tcp")}`,
        },
        {
          id: "beside",
          run: `touch ${runner.home}/go\n${python("storm", steps.beside, others)}\nuntil [ -e ${runner.home}/gone ]; do sleep 0.1; done`,
        },
        ...hasty.map(quick),
        { id: "thief-of-a-step", run: `echo x > /dev/udp/${far}/${steps.storm} || true` },
        { id: "holder", run: python("datagram", marks.holder, 2) },
        { id: "thief", run: python("datagram", marks.thief, 4) },
      ],
      { timeout: 200_000 },
    );
    assert.ok(busy.end(), "it was busy");
    ({ report } = runner.report(job));
  });
  after(async () => {
    busy?.end();
    await runner?.close();
  });

  const rows = (port: number) =>
    report.connections
      .filter((row) => row.ip === far && row.port === port)
      .map(({ verdict, process, count }) => ({ verdict, step: process?.step ?? null, count }));
  /** How many connections to a port there were, by verdict and step. */
  const counted = (port: number): Record<string, number> => {
    const sums: Record<string, number> = {};
    for (const { verdict, step, count } of rows(port))
      sums[`${verdict} ${step}`] = (sums[`${verdict} ${step}`] ?? 0) + count;
    return sums;
  };

  test("each connection is its step's, by UDP and TCP", () => {
    assert.deepEqual(counted(steps.storm), { "allow storm": many, "deny thief-of-a-step": 1 });
    assert.deepEqual(counted(steps.storm + 1), { "allow storm": many });
    assert.deepEqual(counted(steps.beside), { "allow beside": others });
  });

  test("what a step left running is its own while the next one runs", () => {
    assert.deepEqual(counted(steps.left), { "allow storm": others });
  });

  test("a step that is over at once has its name, and its rule", () => {
    for (const { step, port } of hasty) assert.deepEqual(counted(port), { [`allow ${step}`]: 1 });
  });

  test("ports that were allowed for a step are no other's", async () => {
    assert.equal(await runner.host.lab.sink.saw(marks.holder), true);
    assert.equal(await runner.host.lab.sink.saw(marks.thief), false);
    // Of two within seconds on the same ports neither is certain: nobody is named then, and nobody let through.
    const {
      "allow holder": holder = 0,
      "deny thief": thief = 0,
      "deny null": unknown = 0,
      ...more
    } = counted(steps.holder);
    assert.deepEqual([holder > 0, thief + unknown > 0, more], [true, true, {}]);
  });
});
