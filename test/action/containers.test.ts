/**
 * The promise for containers: what a Docker daemon started is told with the step that asked for it, as inferred, where one step alone was
 * connected; of several it is none, and they are named; and none of it opens anything that a rule gives to a step.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Event } from "../../src/audit/event.ts";
import { readEvents } from "../../src/audit/read.ts";
import { requireTools } from "../lab/tools.ts";
import { docker, Engine, environment, image, run } from "./engine.ts";
import { type JobResult, Runner } from "./harness.ts";

const policy = `version: 1
sources:
  a: { process: { step: a } }
  b: { process: { step: b } }
rules:
  - { name: nothing of b, from: b, to: v4only.example, action: deny }
  - { name: for a, from: a, to: only.example }
  - { name: web, to: [allowed.example, v4only.example] }
`;

const get = (name: string, host = "allowed.example") =>
  `curl -sk --max-time 10 -o /dev/null https://${host}/${name} && echo ${name}: reached || echo ${name}: refused`;
const host = "--rm --network host";

describe("containers of a Docker daemon", () => {
  let runner: Runner;
  let engine: Engine | null = null;
  let job: JobResult;
  const events: Event[] = [];

  before(async () => {
    requireTools(["curl", "sudo", "dockerd"]);
    runner = await Runner.create({ policy, env: environment });
    await runner.run([{ id: "boots", run: "true" }]);
    engine = await Engine.start(runner);
    const flag = (name: string) => `${runner.home}/${name}`;
    const wait = (name: string) => `for i in $(seq 400); do test -e ${flag(name)} && break; sleep 0.1; done`;
    job = await runner.run([
      runner.sallyport(),
      {
        id: "a",
        run: [
          run("--rm", get("first")),
          `${get("own", "only.example")}`,
          run(host, [get("on-the-host"), get("asked", "only.example"), get("denied", "v4only.example")].join("; ")),
          run("-d --name kept --network host", "sleep 600"),
          `setsid sh -c "${wait("b-runs").replaceAll("$", "\\$")}; ${run(host, get("late"))} > ${flag("late")} 2>&1; touch ${flag("late-is-over")}" > /dev/null 2>&1 &`,
        ].join("\n"),
      },
      {
        id: "b",
        run: [
          `touch ${flag("b-runs")}`,
          wait("late-is-over"),
          run(host, get("second")),
          `${docker} exec kept /bin/sh -c '${get("joined")}'`,
        ].join("\n"),
      },
      {
        id: "c",
        run: [
          // It is connected from its first answer on.
          `setsid ${docker} events > ${flag("events")} 2>&1 < /dev/null &`,
          `for i in $(seq 400); do ${run(host, get("beside"))}; test -s ${flag("events")} && break; done`,
        ].join("\n"),
      },
      { id: "d", run: [run(host, get("either")), get("itself")].join("\n") },
    ]);
    const { record } = job.outputs["__sallyport_sallyport"] ?? {};
    assert.ok(record !== undefined, JSON.stringify(job.results, null, 1));
    for await (const event of readEvents(runner.place(record))) if (event.kind === "connection") events.push(event);
  });
  after(async () => {
    await engine?.stop();
    await runner?.close();
  });

  /** The connection of this name. */
  const of = (name: string) => {
    const found = events.find(({ process }) => process?.args.at(-1)?.endsWith(`/${name}`) === true);
    assert.ok(found?.process !== undefined, `${name}\n${JSON.stringify([events, job.results], null, 1)}`);
    return { ...found.process, verdict: found.verdict, rule: found.rule?.name };
  };
  const who = (name: string) => {
    const { step, step_number, step_by, step_candidates, container } = of(name);
    return [step, step_number, step_by, step_candidates, container?.image];
  };

  test("are of the step whose client had asked, in whichever network they are", () => {
    assert.deepEqual(who("first"), ["a", 2, "engine_client", undefined, image]);
    assert.deepEqual(who("on-the-host"), ["a", 2, "engine_client", undefined, image]);
    assert.deepEqual(who("second"), ["b", 3, "engine_client", undefined, image]);
  });

  test("are of the step that left the client running, while another step runs", () => {
    assert.deepEqual(who("late"), ["a", 2, "engine_client", undefined, image]);
  });

  test("execute for the step that asks for that, whoever started them", () => {
    assert.deepEqual(who("joined"), ["b", 3, "engine_client", undefined, image]);
  });

  test("are of no step where several were connected, and those are named", () => {
    assert.deepEqual(who("beside"), ["c", 4, "engine_client", undefined, image]);
    assert.deepEqual(who("either"), [null, null, null, ["d", "c"], image]);
    assert.deepEqual(who("itself").slice(0, 3), ["d", 5, "descent"]);
  });

  test("are as good as root where they share the machine's network, and not for the root that their engine made for them", () => {
    const found = runner.report(job).report.detections.filter(({ type }) => type === "container_root");
    const dangers = found.map(({ data }) => String(data.dangers));
    assert.deepEqual([...new Set(dangers)], ["namespace network"]);
  });

  test("get nothing that is a step's alone, and nothing past a rule that denies one", () => {
    assert.deepEqual([of("own").verdict, of("own").rule], ["allow", "for a"]);
    assert.deepEqual([of("asked").verdict, of("asked").rule, of("asked").step], ["deny", null, "a"]);
    assert.deepEqual([of("denied").verdict, of("denied").rule], ["deny", "nothing of b"]);
  });
});
