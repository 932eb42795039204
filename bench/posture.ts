/**
 * `nice node bench/posture.ts [FOLDER]`: how long the checks of 700 workflows take, made from a seed (`test/support/workflow-corpus.ts`),
 * or of a folder's: the first run, as a command meets it, and the middle of the next five. Milliseconds by the clock and of the
 * processor; the latter also as a multiple of a fixed piece of work in the same process, which a busy machine slows as much. The aim
 * is 2 s. Of the processor: 0.7 s for the later runs, 1.0 to 1.3 s for the first, while Node compiles.
 */
import { createHash } from "node:crypto";
import { checkRepository } from "../src/posture/checks/repository.ts";
import type { RepositoryFacts } from "../src/posture/facts.ts";
import { readRepository } from "../src/posture/sources/disk.ts";
import { githubValidator } from "../src/posture/sources/parser-schema.ts";
import { workflowCorpus } from "../test/support/workflow-corpus.ts";

/** Bytes whose hash is the fixed piece of work. */
const weight = Buffer.alloc(128 * 1024 * 1024, 7);
const [folder] = process.argv.slice(2);
const frame = { now: new Date(), own: "sallyport/sallyport", auditDays: 30, changed: () => null, largerRunners: null };
const validate = githubValidator();
const made = folder === undefined ? workflowCorpus(1, 700, 20) : null;

function factsNow(): RepositoryFacts {
  if (folder !== undefined) return readRepository(folder, null).facts;
  return {
    name: null,
    visibility: null,
    workflows: [...made!.files].map(([path, text]) => ({ path, text })),
    unread: [],
    called: [],
    notCalled: [],
    files: new Map(),
    paths: [],
    infrastructure: [],
    notRead: null,
  };
}

function timed<T>(work: () => T): { value: T; clock: number; processor: number } {
  const [start, before] = [performance.now(), process.cpuUsage()];
  const value = work();
  const { user, system } = process.cpuUsage(before);
  return { value, clock: Math.round(performance.now() - start), processor: Math.round((user + system) / 1000) };
}

const calibration = timed(() => createHash("sha256").update(weight).digest("hex")).processor;
const runs = Array.from({ length: 6 }, () => {
  const { value, ...time } = timed(() => {
    const facts = factsNow();
    const { findings } = checkRepository(facts, { defaultPermissions: null }, frame, validate);
    return { workflows: facts.workflows, findings: findings.length };
  });
  return { ...time, calibrations: Math.round((time.processor / calibration) * 10) / 10, ...value };
});
const [first] = runs as [(typeof runs)[0]];
const middle = runs.slice(1).toSorted((a, b) => a.processor - b.processor)[2]!;
const shown = ({ clock, processor, calibrations }: (typeof runs)[0]) => ({ clock, processor, calibrations });
console.log(
  JSON.stringify({
    workflows: first.workflows.length,
    characters: first.workflows.reduce((sum, { text }) => sum + text.length, 0),
    findings: first.findings,
    calibration,
    first: shown(first),
    middle: shown(middle),
  }),
);
