#!/usr/bin/env bash
# cast and forge, unchanged: create, call, send, receipt, logs, estimate, errors by name, scripts and tests.
# Run by tests/clients/run, which starts the node and names it in ASSAY_RPC_URL.
set -euo pipefail
cd "$(dirname "$0")/../../contracts"
export ETH_RPC_URL=$ASSAY_RPC_URL
bin=node_modules/.bin
key=0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80 # the usual first account, public
precompile=0x0000000000000000000000000000000000000a11
row='[21000,19000,17000,-12000,9000]'
answer=18722712993621826
unknown=0x$(printf '11%.0s' $(seq 32))

# expect WHAT WANT GOT: ends the run unless the two are equal.
expect() {
    [ "$2" = "$3" ] || { echo "FAILED $1: expected $2, got $3" >&2; exit 1; }
    echo "ok $1: $3"
}
cast() { "$bin/cast" "$@"; }
number() { awk '{ print $1 }'; } # cast adds a rounded form in brackets

expect "chain id" 31337 "$(cast chain-id)"
created=$("$bin/forge" create hardhat/contracts/Ask.sol:Ask --rpc-url "$ETH_RPC_URL" --private-key "$key" --broadcast --json)
ask=$(node -p 'JSON.parse(process.argv[1]).deployedTo' "$created")
expect "forge create leaves code" yes "$([ "$(cast code "$ask")" != 0x ] && echo yes)"
expect "the precompile has marker code" 0xfe "$(cast code "$precompile")"
expect "call" "$answer" "$(cast call "$ask" 'ask(bytes32,int256[])(int256)' "$MODEL_VOLATILITY" "$row" | number)"

gas=$(cast estimate "$ask" 'keep(bytes32,int256[])' "$MODEL_VOLATILITY" "$row")
receipt=$(cast send "$ask" 'keep(bytes32,int256[])' "$MODEL_VOLATILITY" "$row" --private-key "$key" --gas-limit "$gas" --json)
field() { node -p 'JSON.parse(process.argv[1])[process.argv[2]]' "$receipt" "$1"; }
expect "send with the estimated gas" 0x1 "$(field status)"
expect "receipt" "$(field blockHash)" "$(cast receipt "$(field transactionHash)" blockHash)"
logged=$(cast logs --from-block "$(field blockNumber)" --address "$ask" 'Kept(bytes32 indexed,int256)' "$MODEL_VOLATILITY" --json)
expect "log" "$answer" "$(cast to-dec "$(node -p 'JSON.parse(process.argv[1])[0].data' "$logged")")"
expect "stored" "$answer" "$(cast call "$ask" 'last()(int256)' | number)"
proof=$(cast proof "$ask" 0 | node -p 'JSON.parse(require("fs").readFileSync(0)).storageProof[0].value')
expect "proof of the stored value" "$answer" "$(cast to-dec "$proof")"

# refused NAME SIGNATURE WANT ARGUMENTS...: the call of the precompile fails with this error and these values.
refused() {
    local signature=$1 want=$2 said data
    shift 2
    said=$(cast call "$precompile" "$@" 2>&1 || true)
    data=$(grep -oE '0x[0-9a-f]{8,}' <<<"$said" | awk '{ if (length > length(best)) best = $0 } END { print best }')
    expect "${signature%%(*}" "$want" "$(cast decode-error --sig "$signature" "$data" | tr '\n' ' ' | sed 's/ $//')"
}
predict='predict(bytes32,int256[])(int256[])'
refused 'UnknownModel(bytes32)' "$unknown" "$predict" "$unknown" "$row"
refused 'WrongInputCount(uint256,uint256)' '5 1' "$predict" "$MODEL_VOLATILITY" '[1]'
refused 'NotInteger(uint256)' 1 "$predict" "$MODEL_GROWTH" '[1,150]'
refused 'NonFinite(uint256)' 0 "$predict" "$MODEL_GROWTH" '[1000000000000000000000,100]'
refused 'OutOfRange(uint256)' 0 "$predict" "$MODEL_GROWTH" '[150000000000000000000,100]'
missing=-57896044618658097711785492504343953926634992332820282019728792003956564819968
refused 'MissingNotAllowed(uint256)' 0 "$predict" "$MODEL_GROWTH" "[$missing,100]"
refused 'InputOutOfRange(uint256)' 1 "$predict" "$MODEL_GROWTH" '[1000000000000000000,1844674407370955161600]'
run='run(bytes32,(uint8,uint64[],bytes)[])((uint8,uint64[],bytes)[])'
zeros() { printf '0x%0*d' $((2 * $1)) 0; }
refused 'WrongShape(uint256,uint64[],uint64[])' '0 [18446744073709551615 [1.844e19], 5] [1, 4]' "$run" "$MODEL_VOLATILITY" "[(1,[1,4],$(zeros 16))]"
refused 'WrongType(uint256,uint8,uint8)' '0 1 11' "$run" "$MODEL_VOLATILITY" "[(11,[1,5],$(zeros 40))]"
refused 'NotPayable()' '' "$predict" "$MODEL_VOLATILITY" "$row" --value 1
refused 'BadCalldata()' '' --data 0x01020304

registry=0x0000000000000000000000000000000000000a12
manifest=$(cast from-utf8 'bytes nobody holds, by cast')
waiting=$(cast keccak "$manifest")
deposit=$(cast call "$registry" 'depositFor(uint64)(uint256)' 1000 | number)
cast send "$registry" 'register(bytes,(address,uint64,bytes32))' "$manifest" "($(cast wallet address "$key"),1000,$unknown)" \
    --value "$deposit" --private-key "$key" >/dev/null
refused 'ModelNotActive(bytes32)' "$waiting" "$predict" "$waiting" "$row"

# decided METHOD DIGEST: the chain's one validator, whose key hangs on the usual mnemonic, decides about a model.
validator=$(cast wallet private-key "$(printf 'test %.0s' $(seq 11))junk" "m/44'/60'/1'/0/0")
decided() {
    local digest
    digest=$(cast call "$registry" "$2(bytes32,string)(bytes32)" "$MODEL_GROWTH" 'a test')
    cast send "$registry" "$1(bytes32,string,bytes[])" "$MODEL_GROWTH" 'a test' \
        "[$(cast wallet sign --no-hash "$digest" --private-key "$validator")]" --private-key "$key" >/dev/null
}
decided suspend suspensionDigest
refused 'ModelSuspended(bytes32)' "$MODEL_GROWTH" "$predict" "$MODEL_GROWTH" '[1000000000000000000,100]'
decided reinstate reinstatementDigest

# Calldata to the precompile by DELEGATECALL, and what comes back to the caller.
delegating=0x601b8060095f395ff3365f5f375f5f365f610a115af43d5f5f3e6017573d5ffd5b3d5ff3
between=$(cast send --private-key "$key" --json --create "$delegating" | node -p 'JSON.parse(require("fs").readFileSync(0)).contractAddress')
direct=$precompile precompile=$between
refused 'DirectCallOnly()' '' "$predict" "$MODEL_VOLATILITY" "$row"
precompile=$direct
elements=0x656c656d656e7473206f66206f6e652074656e736f7200000000000000000000 # "elements of one tensor"
refused 'LimitExceeded(bytes32,uint256,uint256)' "$elements 268435456 [2.684e8] 5497558138880 [5.497e12]" \
    'quoteRun(bytes32,uint64[][])(uint256,uint256)' "$MODEL_VOLATILITY" '[[1099511627776,5]]'
said=$(cast call "$precompile" "$predict" "$MODEL_VOLATILITY" "$row" --gas-limit 25000 2>&1 || true)
expect "too little gas is out of gas" yes "$(grep -qi 'gas' <<<"$said" && ! grep -qE '0x[0-9a-f]{8}' <<<"$said" && echo yes)"

out=$(cast send "$ask" 'keep(bytes32,int256[])' "$unknown" "$row" --private-key "$key" 2>&1 || true)
expect "send of a call that reverts is refused" yes "$(grep -qi 'revert' <<<"$out" && echo yes)"

echo "forge test: real answers through the bridge, and a fork of the node"
FOUNDRY_PROFILE=node "$bin/forge" test --match-contract 'ModelsTest|ForkTest'
