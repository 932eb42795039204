/**
 * The cloud's options of `sallyport posture`, by the real launcher where it prints: what is printed, word for word; the picture; files that are not
 * there, cut off, of another kind or mixed; and words that say nothing. Every answer names what no route decides: resolver, metadata,
 * endpoints.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, test, type TestContext } from "node:test";
import { answers, base, igw, route, subnet } from "../posture/cloud/testing/aws.ts";
import type { Changes } from "../posture/cloud/testing/aws.ts";
import { account, allow, details, withPolicy } from "../posture/cloud/testing/given.ts";
import { plan } from "../posture/cloud/testing/plan.ts";
import type { Planned } from "../posture/cloud/testing/plan.ts";
import { elementsOf } from "../posture/cloud/testing/xml.ts";
import type { SallyportError } from "../errors.ts";
import type { Finding } from "../posture/finding.ts";
import type { PostureReport } from "../posture/report/report.ts";
import { judgeCloud } from "./posture-cloud.ts";
import type { CloudFlags } from "./posture-cloud-options.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const golden = new URL("golden/posture-cloud.txt", import.meta.url);

type Files = Readonly<Record<string, unknown>>;

/** A folder with the files. */
function folder(t: TestContext, files: Files): string {
  const at = mkdtempSync(join(tmpdir(), "sallyport-cloud-"));
  t.after(() => rmSync(at, { recursive: true }));
  for (const [name, value] of Object.entries(files)) {
    const content = Buffer.isBuffer(value) || typeof value === "string" ? value : JSON.stringify(value, null, 2);
    writeFileSync(join(at, name), content);
  }
  return at;
}

/** Runs in a folder with the files, so that what is printed names them alone. */
function posture(t: TestContext, files: Files, words: string[]) {
  const at = folder(t, files);
  const run = ["posture", "--no-repository", ...words];
  return new Promise<{ code: number; stdout: string; stderr: string; at: string }>((resolve) => {
    execFile(`${root}sallyport`, run, { cwd: at, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr, at }),
    );
  });
}

const network = (changes: Changes = {}): Files =>
  Object.fromEntries(answers(changes).map((answer, i) => [`net-${String(i).padStart(2, "0")}.json`, answer]));
const v6 = { Ipv6CidrBlockAssociationSet: [{ Ipv6CidrBlock: "2001:db8:0:1::/64" }] };
const open: Changes = {
  routes: [
    base.local,
    igw,
    route({ DestinationIpv6CidrBlock: "::/0", EgressOnlyInternetGatewayId: "eigw-1" }),
    route({ DestinationCidrBlock: "172.20.0.0/16", VpcPeeringConnectionId: "pcx-01" }),
  ],
  subnetFields: v6,
  dns: { VpcId: "vpc-0a1", EnableDnsSupport: { Value: true } },
  associations: { FirewallRuleGroupAssociations: [] },
  endpoints: [
    {
      VpcEndpointId: "vpce-s3",
      VpcEndpointType: "Gateway",
      VpcId: "vpc-0a1",
      ServiceName: "com.amazonaws.eu-central-1.s3",
    },
  ],
  instance: { MetadataOptions: { HttpTokens: "optional", HttpPutResponseHopLimit: 2, HttpEndpoint: "enabled" } },
};
const inline = { Statement: [{ Effect: "Allow", Principal: "*", Action: "s3:*", Resource: "arn:aws:s3:::cache/*" }] };
/** What the command does with these options, without the time that a start takes. */
async function judged(t: TestContext, files: Files, flags: CloudFlags) {
  const at = folder(t, files);
  const here = Object.fromEntries(
    Object.entries(flags).map(([option, value]: [string, string[]]) => [
      option,
      ["iam", "network", "plan", "scp"].includes(option) ? value.map((name) => join(at, name)) : value,
    ]),
  ) as CloudFlags;
  return { at, ...(await judgeCloud(here)) };
}

const reportOf = (stdout: string) => JSON.parse(stdout) as PostureReport;
const saidBy = ({ findings }: { findings: readonly Finding[] }) =>
  findings.filter(({ status }) => status !== "pass").map(({ check, status }) => `${check} ${status}`);

describe("what is printed", () => {
  test("of an open network and a role with too much, word for word, and drawn", async (t) => {
    const files = {
      ...network(open),
      "roles.json": withPolicy(allow(["iam:PassRole", "ec2:RunInstances"])),
      "bucket.json": { Policy: JSON.stringify(inline) },
    };
    const names = Object.keys(network(open));
    const words = [
      "--iam",
      "roles.json",
      "bucket.json",
      "--network",
      ...names,
      "--subnet",
      subnet,
      "--picture",
      "p.svg",
    ];
    const { code, stdout, stderr, at } = await posture(t, files, words);
    assert.deepEqual([code, stderr], [1, ""]);
    if (process.env["SALLYPORT_GOLDEN"] === "write") writeFileSync(golden, stdout);
    assert.equal(stdout, readFileSync(golden, "utf8"));
    const picture = readFileSync(join(at, "p.svg"), "utf8");
    assert.ok(elementsOf(picture).length > 40);
    for (const text of ["igw-01", "eigw-1", "pcx-01", "Amazon&#39;s resolver", "service endpoint", "metadata service"])
      assert.ok(picture.includes(text), text);
    assert.match(picture, /<text[^>]*>2001:db8:0:1::\/64</);
  });

  test("of a closed network: nothing fails, and each way that no route decides was looked at", async (t) => {
    const names = Object.keys(network());
    const words = ["--network", ...names, "--subnet", "runners", "--json", "--picture", "p.svg"];
    const { code, stdout, at } = await posture(t, network(), words);
    const report = reportOf(stdout);
    assert.equal(code, 0);
    assert.deepEqual(saidBy(report), []);
    const passed = report.findings.map(({ check }) => check);
    for (const check of ["internal-route", "way-out", "resolver", "metadata-tokens", "metadata-hops", "user-data"])
      assert.ok(passed.includes(check), check);
    // One that nothing was given of is unknown, not ok.
    assert.equal(report.rules.find(({ rule }) => rule === "RG-17")!.status, "unknown");
    assert.doesNotMatch(readFileSync(join(at, "p.svg"), "utf8"), /fill="#b42318" font-weight/);
  });

  test("with a control policy that refuses: less fails; without one the report says that none was seen", async (t) => {
    const guard = { Statement: { Effect: "Deny", Action: "iam:*", Resource: "*" } };
    const files = { "roles.json": withPolicy(allow("iam:PassRole")), "scp.json": guard };
    const without = await judged(t, files, { iam: ["roles.json"] });
    assert.deepEqual(saidBy(without), ["pass-role fail", "breadth fail"]);
    assert.ok(without.sources.some(({ name, seen }) => name === "control policies" && !seen));
    const limited = await judged(t, files, { iam: ["roles.json"], scp: ["scp.json"] });
    assert.deepEqual(saidBy(limited), []);
    assert.ok(!limited.sources.some(({ name }) => name === "control policies"));
    const content = JSON.stringify(guard);
    const attachment = { target_id: account, policy_id: "p-1" };
    const all = { master_account_id: "999988887777", enabled_policy_types: ["SERVICE_CONTROL_POLICY"] };
    const resources = (target: object): Planned[] => [
      { type: "aws_organizations_policy", name: "guard", values: { content, id: "p-1" }, unknown: { id: false } },
      { type: "aws_organizations_policy_attachment", name: "guard", values: { ...attachment, ...target } },
      { type: "aws_organizations_organization", name: "all", values: all },
    ];
    for (const [target, found, seen, text] of [
      [{}, [], true, /^1 of 1 in plans deny something to a role$/],
      [{ target_id: "ou-1" }, ["pass-role fail", "breadth fail"], false, /^0 of 1 .*--scp takes a plan, too/],
    ] as const) {
      const more = { ...files, "plan.json": plan(resources(target)) };
      const planned = await judged(t, more, { iam: ["roles.json"], plan: ["plan.json"] });
      assert.deepEqual(saidBy(planned), found);
      const [source] = planned.sources.filter(({ name }) => name === "control policies");
      assert.equal(source!.seen, seen);
      assert.match(source!.text, text);
    }
    // A second role, in an account that it does not stand over.
    const other = JSON.stringify(files["roles.json"]).replaceAll(account, "444455556666");
    const more = { ...files, "other.json": other, "plan.json": plan(resources({})) };
    const two = await judged(t, more, { iam: ["roles.json", "other.json"], plan: ["plan.json"] });
    assert.deepEqual(saidBy(two), ["pass-role fail", "breadth fail"]);
    const [source] = two.sources.filter(({ name }) => name === "control policies");
    assert.equal(source!.seen, false);
    assert.match(source!.text, /^1 of 1 in plans deny something to a role; over 1 of the roles none is shown to stand/);
  });
});

describe("files", () => {
  test("cut off, of another kind, or no JSON at all are unknown, each by its name, and the others are judged", async (t) => {
    const text = JSON.stringify(details(), null, 2);
    const files = {
      ...{ "cut.json": text.slice(0, text.length / 2), "picture.json": Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16]) },
      ...{ "list.json": "[1, 2]", "role.json": withPolicy(allow("*")), "plan.json": "{}" },
    };
    const iam = ["cut.json", "picture.json", "list.json", "role.json"];
    const report = await judged(t, files, { iam, plan: ["plan.json"] });
    for (const name of ["cut.json", "picture.json", "list.json", "plan.json"])
      assert.ok(
        report.findings.some(
          ({ status, subject, check }) =>
            status === "unknown" && subject.endsWith(`/${name}`) && check === "unreadable",
        ),
        name,
      );
    assert.ok(saidBy(report).includes("administrator fail"));
  });

  test("of AWS and of a plan together, whichever option they come by", async (t) => {
    const planned = plan([
      {
        type: "aws_iam_role",
        name: "ci",
        values: { name: "ci", assume_role_policy: JSON.stringify({ Statement: [] }) },
      },
      {
        type: "aws_iam_role_policy",
        name: "all",
        values: { role: "ci", policy: JSON.stringify({ Statement: [allow("iam:*")] }) },
      },
    ]);
    const files = { ...network({ routes: [base.local, igw] }), "plan.json": planned };
    const names = Object.keys(network());
    const { findings } = await judged(t, files, { network: [...names, "plan.json"], subnet: [subnet] });
    const said = findings.filter(({ status }) => status === "fail");
    assert.ok(said.some(({ check, subject }) => check === "administrator" && subject === "aws_iam_role.ci"));
    assert.ok(said.some(({ check, subject }) => check === "way-out" && subject.startsWith(subnet)));
  });

  test("that are not there, and words that say nothing, are errors with what to write", async (t) => {
    const files = { "role.json": details() };
    for (const [flags, code, pattern] of [
      [{ iam: ["nowhere.json"] }, "CLOUD_UNREADABLE", /nowhere\.json: /],
      [{ network: ["."] }, "CLOUD_UNREADABLE", /EISDIR|no file|directory/],
      [{ subnet: [subnet] }, "USAGE", /--subnet says nothing without --iam, --network or --plan/],
      [{ scp: ["role.json"] }, "USAGE", /--scp says nothing without/],
      [{ iam: ["role.json"], account: ["12345"] }, "CLOUD_UNREADABLE", /twelve digits/],
      [{ iam: ["role.json"], reach: ["10.0.0.1/8"] }, "CLOUD_UNREADABLE", /--reach/],
      [{ iam: ["role.json"], picture: "p.svg" }, "CLOUD_UNREADABLE", /--picture: no subnet to draw/],
    ] as [CloudFlags, string, RegExp][])
      await assert.rejects(judged(t, files, flags), (error: SallyportError) => {
        assert.equal(error.code, code);
        assert.match(error.message, pattern);
        return true;
      });
    assert.ok(!existsSync("p.svg"));
    const { code, stdout, stderr } = await posture(t, files, ["--iam", "nowhere.json"]);
    assert.deepEqual([code, stdout, /CLOUD_UNREADABLE/.test(stderr)], [2, "", true]);
  });
});
