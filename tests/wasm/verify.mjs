// Verifies a recorded quote in the module, and then the same with each of some bits flipped.
//
//     node verify.mjs MODULE QUOTE COLLATERAL SECONDS
//
// The last line is `N passed, N failed`.
import { readFileSync } from 'node:fs';

const [module, quoteFile, collateralFile, seconds] = process.argv.slice(2);
const compiled = new WebAssembly.Module(readFileSync(module));
const imports = WebAssembly.Module.imports(compiled);
const { exports } = new WebAssembly.Instance(compiled, {});
const quote = readFileSync(quoteFile);
const collateral = readFileSync(collateralFile);
const policy = Buffer.from('name = "wasm"\n[tdx]\nmeasurements = "any"\n');

function verdict(quote) {
  const input = Buffer.concat([quote, collateral, policy]);
  // Each call may grow the memory, which leaves views of it behind.
  const start = exports.input(input.length);
  new Uint8Array(exports.memory.buffer, start, input.length).set(input);
  const length = exports.verify(quote.length, collateral.length, BigInt(seconds));
  const output = new Uint8Array(exports.memory.buffer, exports.output(), length);
  return JSON.parse(Buffer.from(output).toString());
}

let passed = 0;
let failed = 0;
function check(what, holds) {
  console.log(`${what} ... ${holds ? 'ok' : 'FAILED'}`);
  if (holds) passed += 1;
  else failed += 1;
}

check('the module imports nothing', imports.length === 0);
check('the recorded quote is accepted', verdict(quote).decision === 'accepted');
// In the TD's measurements, the quote's signature, the quoting enclave's report and its signature.
for (const offset of [48 + 184, 636, 770, 770 + 384]) {
  const changed = Buffer.from(quote);
  changed[offset] ^= 1;
  check(`byte ${offset} changed: rejected`, verdict(changed).decision === 'rejected');
}
const start = performance.now();
const turns = 20;
for (let turn = 0; turn < turns; turn += 1) verdict(quote);
console.log(`${((performance.now() - start) / turns).toFixed(1)} ms a verification`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
