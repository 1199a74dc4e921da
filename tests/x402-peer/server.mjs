// A server that sells routes behind the reference middleware of both versions of x402, and the facilitator that they ask. All of
// it is on loopback. The facilitator checks signatures for real and settles into memory.
//
// One line of JSON tells where it listens; it ends when its standard input does.

import http from "node:http";
import net from "node:net";

// The packages bring clients of services along. None is asked anything.
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) {
  const to = Array.isArray(given[0]) ? given[0][0] : given[0];
  if (to?.host !== "127.0.0.1") {
    process.stderr.write(`a connection to ${to?.host ?? to} was about to be made\n`);
    process.exit(3);
  }
  return connect.apply(this, given);
};

// The middleware tells of each failure that a test asks for.
console.error = () => {};

const { default: express } = await import("express");
const { verifyTypedData } = await import("viem");
const { paymentMiddleware: v1Middleware } = await import("x402-express");
const { paymentMiddleware: v2Middleware } = await import("@x402/express");
const { HTTPFacilitatorClient, x402ResourceServer } = await import("@x402/core/server");
const { ExactEvmScheme } = await import("@x402/evm/exact/server");

const PAY_TO = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
const CHAINS = { "base-sepolia": 84532, "eip155:84532": 84532 };
const TYPES = {
  TransferWithAuthorization: [
    { name: "from", type: "address" },
    { name: "to", type: "address" },
    { name: "value", type: "uint256" },
    { name: "validAfter", type: "uint256" },
    { name: "validBefore", type: "uint256" },
    { name: "nonce", type: "bytes32" },
  ],
};

// What a test asks for, and what it may look at afterwards.
let mode = "settles";
const seen = { settled: [], verified: 0, refused: [], settles: 0, runs: 0, payments: [] };

/** Why a payment is not good; nothing when it is. */
async function fault({ x402Version, paymentPayload, paymentRequirements: wanted }) {
  const { authorization, signature } = paymentPayload.payload;
  const now = BigInt(Math.floor(Date.now() / 1000));
  const signed = await verifyTypedData({
    address: authorization.from,
    domain: {
      name: wanted.extra.name,
      version: wanted.extra.version,
      chainId: CHAINS[wanted.network],
      verifyingContract: wanted.asset,
    },
    types: TYPES,
    primaryType: "TransferWithAuthorization",
    message: {
      ...authorization,
      value: BigInt(authorization.value),
      validAfter: BigInt(authorization.validAfter),
      validBefore: BigInt(authorization.validBefore),
    },
    signature,
  });
  if (!signed) return "invalid_exact_evm_payload_signature";
  if (authorization.to.toLowerCase() !== wanted.payTo.toLowerCase())
    return "invalid_exact_evm_payload_recipient_mismatch";
  if (authorization.value !== (wanted.amount ?? wanted.maxAmountRequired))
    return "invalid_exact_evm_payload_authorization_value";
  if (BigInt(authorization.validAfter) > now) return "invalid_exact_evm_payload_authorization_valid_after";
  if (BigInt(authorization.validBefore) < now + 6n) return "invalid_exact_evm_payload_authorization_valid_before";
  // The facilitators of version 1 find out only when they settle.
  if (x402Version === 2 && isUsed(authorization)) return "invalid_exact_evm_nonce_already_used";
}

const isUsed = ({ from, nonce }) => seen.settled.some((one) => one.from === from && one.nonce === nonce);

const facilitator = express();
facilitator.use(express.json());
facilitator.get("/supported", (_, answer) => {
  answer.json({
    kinds: [{ x402Version: 2, scheme: "exact", network: "eip155:84532" }],
    extensions: [],
    signers: {},
  });
});
facilitator.post("/verify", async ({ body }, answer) => {
  const payer = body.paymentPayload.payload.authorization.from;
  const invalidReason = await fault(body);
  seen.verified += 1;
  if (invalidReason) seen.refused.push(invalidReason);
  answer.json(invalidReason ? { isValid: false, invalidReason, payer } : { isValid: true, payer });
});
facilitator.post("/settle", async ({ body }, answer) => {
  const { authorization } = body.paymentPayload.payload;
  const about = { payer: authorization.from, network: body.paymentRequirements.network };
  const failed = (errorReason) => answer.json({ success: false, errorReason, transaction: "", ...about });
  seen.settles += 1;
  const used = body.x402Version === 1 ? "invalid_transaction_state" : "invalid_exact_evm_nonce_already_used";
  const reason = isUsed(authorization) ? used : await fault(body);
  if (reason) return failed(reason);
  if (mode === "fails") return failed("unexpected_settle_error");
  if (mode === "has no funds") return failed("insufficient_funds");
  seen.settled.push(authorization);
  if (mode === "settles and does not say so") return answer.status(500).send("upstream error");
  answer.json({ success: true, transaction: authorization.nonce, ...about });
});
facilitator.post("/test/mode", ({ body }, answer) => {
  mode = body.mode;
  answer.json({});
});
facilitator.post("/test/seen", (_, answer) => answer.json(seen));
facilitator.post("/test/replay", async ({ body }, answer) => {
  const { path, name, value } = seen.payments.at(-1);
  const headers = { "content-type": "application/json", accept: "application/json", [name]: value };
  const { status } = await fetch(body.origin + path, { method: "POST", headers, body: '{"task":"another one"}' });
  answer.json({ status });
});

/** The API behind a middleware, the same route dear and cheap. */
function selling(middleware) {
  const api = express();
  api.use((request, _, next) => {
    for (const name of ["x-payment", "payment-signature"]) {
      const value = request.header(name);
      if (value) seen.payments.push({ path: request.path, name, value });
    }
    next();
  });
  api.use(middleware);
  api.post(["/api/v1/route", "/dear/api/v1/route"], (_, answer) => {
    seen.runs += 1;
    if (mode === "handler fails") return answer.status(500).json({ detail: "handler failed" });
    answer.json({ recommended: "qdrant", request_id: "11111111-1111-4111-8111-111111111111" });
  });
  return api;
}

async function listen(app) {
  const server = http.createServer(app);
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${server.address().port}`;
}

const url = await listen(facilitator);

const v1Route = (price) => ({ price, network: "base-sepolia", config: { description: "A route" } });
const v1 = await listen(
  selling(
    v1Middleware(PAY_TO, { "POST /api/v1/route": v1Route("$0.01"), "POST /dear/api/v1/route": v1Route("$5") }, { url }),
  ),
);

const v2Route = (price) => ({
  accepts: { scheme: "exact", network: "eip155:84532", price, payTo: PAY_TO },
  description: "A route",
  mimeType: "application/json",
});
const v2 = await listen(
  selling(
    v2Middleware(
      { "POST /api/v1/route": v2Route("$0.01"), "POST /dear/api/v1/route": v2Route("$5") },
      new x402ResourceServer(new HTTPFacilitatorClient({ url })).register("eip155:84532", new ExactEvmScheme()),
    ),
  ),
);

console.log(JSON.stringify({ v1, v2, facilitator: url }));
process.stdin.on("end", () => process.exit(0)).resume();
