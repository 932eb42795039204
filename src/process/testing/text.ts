/** What the readers of /proc's and container engines' texts promise, whatever the text; for the fuzz target `host-text`. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { containerOf } from "../cgroup.ts";
import { parseDockerImage, parseStoredImage } from "../images.ts";
import { argumentBounds, masker, maskText } from "../mask.ts";
import { parseArguments, parseCgroupPaths, parseEffectiveUid, parseEnvironment, parseStat } from "../proc-text.ts";
import { pathsInIndex } from "../../detect/git-index.ts";
import { stepVariables } from "../steps.ts";
import { parseConnections } from "../streams.ts";
import { parsePasswd } from "../users.ts";

const id = "0123456789abcdef".repeat(4);
const word = fc.constantFrom(
  "a",
  "sh) S 1 1",
  "((",
  "\n",
  "--password",
  "TOKEN=",
  "hunter2hunter2",
  "https://u:p@a.example/",
  "Authorization: Bearer ",
  "ghp_0123456789abcdef0123",
  "",
);
const stat = fc
  .tuple(
    fc.nat(99_999),
    fc.array(word, { maxLength: 3 }),
    fc.constantFrom("S", "Z", "", "SS"),
    fc.array(fc.nat(9), { maxLength: 24 }),
  )
  .map(([pid, comm, state, rest]) => `${pid} (${comm.join("")}) ${state} ${rest.join(" ")}`);
const cgroup = fc
  .array(
    fc.constantFrom(
      "",
      "docker",
      `docker-${id}.scope`,
      `libpod-${id}`,
      `libpod-conmon-${id}.scope`,
      "system.slice",
      id,
      "crun",
    ),
    { maxLength: 5 },
  )
  .map((segments) => `0::/${segments.join("/")}`);
const nulls = fc
  .array(fc.oneof(word, fc.constantFrom("GITHUB_ACTION=__run", "GITHUB_ACTION=", "=x")), { maxLength: 40 })
  .map((each) => each.join("\0"));
const image = fc
  .tuple(fc.constantFrom("Config", "id"), fc.json({ maxDepth: 2 }))
  .map(([key, value]) => `{"${key}":${value},"Config":{"Image":${value}}}`);

export const processText: fc.Arbitrary<string> = fc.oneof(
  stat,
  cgroup,
  nulls,
  image,
  fc.constantFrom(
    "Name:\tx\nUid:\t1\t2\t3\t4\n",
    "root:x:0:0::/:/bin/sh\na:x:99999999999:",
    `[{"id":"${id}","metadata":"{\\"image-name\\":\\"a.example/b\\"}"}]`,
  ),
);

const secret = "hunter2hunter2";
const mask = masker([secret]);

export function assertProcessText(text: string): void {
  const read = parseStat(text);
  if (read !== null) {
    for (const value of [read.pid, read.parent, read.threads, read.startTicks]) assert.ok(Number.isSafeInteger(value));
    assert.ok(text.includes(`(${read.comm})`));
  }
  const uid = parseEffectiveUid(text);
  assert.ok(uid === null || (uid >= 0 && uid <= 0xffff_ffff));
  const container = containerOf(parseCgroupPaths(text));
  assert.ok(container === null || (text.includes(container) && container.length <= 128 && !container.includes("/")));
  for (const [name, value] of Object.entries(parseEnvironment(text, stepVariables))) {
    assert.ok(text.includes(`${name}=${value}`) && value !== "");
  }
  const args = parseArguments(text, argumentBounds.most);
  const masked = mask(args);
  assert.ok(args.length <= argumentBounds.most && masked.length === args.length);
  for (const arg of masked) assert.ok(arg.length <= argumentBounds.longest && !arg.includes(secret), arg);
  assert.ok(!maskText(text, [secret]).includes(secret));
  for (const found of [parseDockerImage(text), parseStoredImage(text, id)]) {
    assert.ok(found === null || (typeof found === "string" && found.length > 0));
  }
  for (const { inode, remote } of parseConnections(text)) assert.ok(inode > 0 && /:\d{1,5}$/.test(remote));
  const bytes = Buffer.from(text);
  const index = Buffer.concat([Buffer.from("DIRC\0\0\0\x04\0\0\0\x02"), Buffer.alloc(40), bytes]);
  for (const paths of [pathsInIndex(bytes), pathsInIndex(index)]) assert.ok(paths === null || paths.length <= 2);
  for (const [user, name] of parsePasswd(text)) assert.ok(Number.isSafeInteger(user) && text.includes(name));
}
