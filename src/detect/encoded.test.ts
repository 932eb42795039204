/** Labels of ordinary hosts are no data, however odd; random characters of every alphabet are, from a dozen on. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { encodedBits, payloadBits } from "./encoded.ts";

const ordinary = `www api registry npmjs pythonhosted files static crates productionresultssa12 pipelinesghubeus6
  run-actions-1-azure-eastus us-east-1 registry-1 ip-10-20-1-7 securitytoken githubusercontent codeload avatars0 ghcr
  pkg-containers dl-cdn alpinelinux s3-accelerate eu-central-1 dualstack ec2-203-0-113-25 k8s-default-ingress-1
  xn--bcher-kva containerregistry europe-west1-docker visualstudio vsblob jcenter index-rubygems keyserver changelogs
  my-very-long-service-name-for-team-payments-prod release-assets http2-lb01-ams3 rds-mysql57-db02 x86-64 pc1234567
  build-20260504-113 pr-12345 job-48123-1 _dmarc _443 deadbeef facade`.split(/\s+/);

test("labels that spell something carry no data", () => {
  assert.deepEqual(
    ordinary.filter((label) => encodedBits(label) > 0),
    [],
  );
});

test("random characters are taken for data, and for as many bits as their alphabet has", () => {
  const alphabets = {
    "0123456789abcdef": 4,
    abcdefghijklmnopqrstuvwxyz234567: 5,
    "0123456789abcdefghijklmnopqrstuvwxyz": Math.log2(36),
  };
  for (const [alphabet, bits] of Object.entries(alphabets)) {
    let found = 0;
    for (let i = 0; i < 400; i++) {
      const bytes = createHash("sha256").update(`${i}`).digest();
      const label = [...bytes.subarray(0, 20)].map((byte) => alphabet[byte % alphabet.length]).join("");
      const carried = encodedBits(label);
      if (carried > 0) found++;
      assert.ok(carried <= 20 * bits + 1e-9);
    }
    assert.ok(found > 380, `${alphabet}: ${found} of 400`);
  }
});

test("only what is above the domain counts", () => {
  const data = "0f8e1d7c6b5a49382716";
  assert.equal(payloadBits(`${data}.example.net`, `${data}.example.net`), 0);
  assert.equal(payloadBits(`${data}.www.wild.example`, "wild.example"), 80);
});

test("whatever the label: a finite number, and never more than a byte a character", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), (label) => {
      const bits = encodedBits(label);
      assert.ok(bits >= 0 && bits <= 8 * label.length);
    }),
  );
});
