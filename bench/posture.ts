/**
 * `nice node bench/posture.ts FOLDER`: how long the checks of one folder's workflows take, reading apart from checking, the middle
 * of five runs in milliseconds. The aim, not reached yet: 700 workflows in 2 s.
 */
import { checkRepository } from "../src/posture/checks/repository.ts";
import { readRepository } from "../src/posture/sources/disk.ts";
import { githubValidator } from "../src/posture/sources/parser-schema.ts";

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new TypeError("Say which folder.");
const frame = { now: new Date(), own: "sallyport/sallyport", auditDays: 30, changed: () => null, largerRunners: null };
const validate = githubValidator();
const runs = Array.from({ length: 5 }, () => {
  const start = performance.now();
  const { facts } = readRepository(folder, null);
  const read = performance.now();
  const { findings } = checkRepository(facts, { defaultPermissions: null }, frame, validate);
  return {
    workflows: facts.workflows.length,
    findings: findings.length,
    read: read - start,
    check: performance.now() - read,
  };
});
const middle = runs.toSorted((a, b) => a.read + a.check - b.read - b.check)[2]!;
console.log(JSON.stringify(middle));
