/** Inputs: a firewall does not guess. What is wrong is said with what to write instead, all of it at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SallyportError } from "../errors.ts";
import { readInputs } from "./inputs.ts";

/** As the runner puts them into the environment. */
function env(inputs: Record<string, string>): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]));
}

function refused(inputs: Record<string, string>): string {
  try {
    readInputs(env(inputs));
  } catch (error) {
    assert.ok(error instanceof SallyportError);
    assert.equal(error.code, "ACTION_INPUT");
    return error.message;
  }
  throw new assert.AssertionError({ message: `${JSON.stringify(inputs)} was taken` });
}

test("without inputs the job is enforced, with everything on", () => {
  const inputs = readInputs({ GITHUB_JOB: "build" });
  assert.equal(inputs.mode, "enforce");
  assert.equal(inputs.enabled, true);
  assert.equal(inputs.selfTest, true);
  assert.equal(inputs.root, "kept");
  assert.deepEqual([...inputs.failOn], []);
  assert.equal(inputs.policy, null);
  assert.deepEqual(inputs.notices, []);
});

test("harden-runner's inputs are taken as they stand", () => {
  const inputs = readInputs(
    env({
      "egress-policy": "audit",
      "allowed-endpoints": "\n  pypi.org:443\n",
      "disable-sudo-and-containers": "true",
      "disable-telemetry": "true",
      "disable-file-monitoring": "false",
      "use-policy-store": "false",
      "api-key": "",
      token: "t",
    }),
  );
  assert.equal(inputs.mode, "monitor");
  assert.equal(inputs.root, "no-sudo-no-containers");
  assert.equal(inputs.allowedEndpoints, "pypi.org:443");
  assert.equal(inputs.token, "t");
  assert.deepEqual(inputs.notices, ["disable-telemetry has no effect here: there is no telemetry to switch off."]);
});

test("a misspelt input is an error that names the right one, not a default", () => {
  assert.match(refused({ "egres-policy": "audit" }), /no input “egres-policy”: did you mean egress-policy\?/);
  assert.match(refused({ "block-everything-else": "1" }), /the inputs are egress-policy, /);
});

test("a value that is none is an error that says what to write", () => {
  assert.match(refused({ "egress-policy": "blok" }), /egress-policy is “blok”: write audit or block/);
  assert.match(refused({ enabled: "yes" }), /enabled is “yes”: write true or false/);
  assert.match(refused({ "fail-on": "denied, detections" }), /fail-on has “detections”: write denied, detection/);
  assert.match(refused({ summary: "sometimes" }), /write always or findings or never/);
});

test("inputs that contradict each other are refused", () => {
  assert.match(refused({ "egress-policy": "audit", "fail-on": "denied" }), /contradicts egress-policy: audit/);
});

test("a list that another product keeps is refused, and never an empty list", () => {
  assert.match(
    refused({ policy: "my-store-policy" }),
    /kept by StepSecurity: write the list into \.github\/sallyport\.yaml/,
  );
  assert.match(refused({ "use-policy-store": "true" }), /kept by StepSecurity/);
});

test("a policy is a file of the repository, not of the machine", () => {
  assert.match(refused({ policy: "/etc/policy.yaml" }), /inside of the repository/);
  assert.match(refused({ policy: "a/../../policy.yaml" }), /inside of the repository/);
  assert.equal(readInputs(env({ policy: "./ci/egress.yml" })).policy, "ci/egress.yml");
});

test("everything that is wrong is said at once", () => {
  const text = refused({ "egress-policy": "x", "disable-sudo": "maybe", nonsense: "1" });
  assert.equal(text.split("\n").length, 4);
});

test("a signing key is a file on the runner, never the key itself, which is not repeated", () => {
  assert.equal(readInputs(env({ "sign-key": "/etc/sallyport/key" })).signKey, "/etc/sallyport/key");
  assert.equal(readInputs(env({})).signKey, null);
  for (const given of ["-----BEGIN PRIVATE KEY-----\nabc", "key"]) {
    const text = refused({ "sign-key": given });
    assert.match(text, /sign-key is no path: write the path of a file on the runner/);
    assert.doesNotMatch(text, /abc/);
  }
});
