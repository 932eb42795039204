/**
 * Adds a version to the preset `github-actions` from GitHub's `/meta`, for a person to read in the diff; never changes one that
 * is there. Called by hand:
 *
 *   node scripts/presets-github.ts                           what would change
 *   node scripts/presets-github.ts --write                   adds the version
 *   … --reason HOST="why it is needed"                       a host that is to be in it (repeatable)
 *   … --remove HOST   --keep HOST   --accounts NUMBER        what looks wrong and is right
 *
 * Exit codes: 0 nothing to do, or written; 1 there is a change (without --write); 2 refused.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { githubActions } from "../src/policy/preset-github-actions.ts";
import type { PresetHost } from "../src/policy/presets.ts";
import { refresh } from "./presets/refresh.ts";

const largest = 8 * 1024 * 1024;
const timeout = 30_000;

const { values } = parseArgs({
  options: {
    url: { type: "string", default: "https://api.github.com/meta" },
    out: { type: "string", default: fileURLToPath(new URL("../src/policy/preset-github-actions.ts", import.meta.url)) },
    write: { type: "boolean", default: false },
    reason: { type: "string", multiple: true, default: [] },
    remove: { type: "string", multiple: true, default: [] },
    keep: { type: "string", multiple: true, default: [] },
    accounts: { type: "string" },
  },
});

process.exitCode = await run();

async function run(): Promise<number> {
  const answer = await fetchAnswer(values.url);
  if (typeof answer === "string") return refuse([answer]);
  const reasons = new Map(values.reason.map((text) => text.split(/=(.*)/s).slice(0, 2) as [string, string]));
  const accounts = values.accounts === undefined ? null : Number(values.accounts);
  const refreshed = refresh(githubActions.at(-1)!, answer.value, {
    reasons,
    remove: values.remove,
    keep: values.keep,
    accounts,
  });
  if (refreshed.refusals !== null) return refuse(refreshed.refusals);
  for (const host of refreshed.unlisted) console.log(`not in the preset: ${host}`);
  const { version } = refreshed;
  if (version === null) {
    console.log(`github-actions@${githubActions.length} is what the answer says`);
    return 0;
  }
  for (const line of difference(githubActions.at(-1)!, version)) console.log(line);
  if (!values.write) return 1;
  writeFileSync(values.out, source([...githubActions, version]));
  execFileSync(fileURLToPath(new URL("../node_modules/.bin/oxfmt", import.meta.url)), [values.out], {
    stdio: "ignore",
  });
  console.log(`${values.out}: github-actions@${githubActions.length + 1}. Read the diff, and run npm run docs.`);
  return 0;
}

function refuse(why: readonly string[]): number {
  for (const text of why) console.error(`presets-github: refused: ${text}`);
  return 2;
}

/** The JSON at a URL, bounded in time and size; or why there is none. */
async function fetchAnswer(url: string): Promise<{ value: unknown } | string> {
  try {
    const response = await fetch(url, {
      headers: { accept: "application/vnd.github+json", "user-agent": "sallyport-presets" },
      redirect: "error",
      signal: AbortSignal.timeout(timeout),
    });
    if (response.status !== 200 || response.body === null) return `${url} answers ${response.status}`;
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body) {
      size += chunk.length;
      if (size > largest) return `${url} sends more than ${largest} bytes`;
      chunks.push(chunk);
    }
    return { value: JSON.parse(Buffer.concat(chunks).toString("utf8")) };
  } catch (error) {
    const { message, cause } = error as Error;
    return `${url}: ${cause instanceof Error ? cause.message : message}`;
  }
}

function difference(before: readonly PresetHost[], after: readonly PresetHost[]): string[] {
  const has = (list: readonly PresetHost[], host: string) => list.some((entry) => entry.host === host);
  return [
    ...before.filter(({ host }) => !has(after, host)).map(({ host }) => `- ${host}`),
    ...after.filter(({ host }) => !has(before, host)).map(({ host, reason }) => `+ ${host}  ${reason}`),
  ];
}

function source(versions: readonly (readonly PresetHost[])[]): string {
  return `/**
 * What GitHub Actions needs, in versions that never change. Written by \`scripts/presets-github.ts\` from GitHub's \`/meta\`
 * answer and read by a person before it was committed: change it with the script, which adds a version.
 */
import type { PresetHost } from "./presets.ts";

export const githubActions: readonly (readonly PresetHost[])[] = [
${versions.map((hosts) => `[\n${hosts.map(entry).join("")}],\n`).join("")}];
`;
}

function entry({ host, reason }: PresetHost): string {
  return `{ host: ${JSON.stringify(host)}, reason: ${JSON.stringify(reason)} },\n`;
}
