"""web3.py, unchanged: deploy, call, send, wait, logs, subscriptions, estimates, errors by name.

Run by tests/clients/run, which starts the node and names it in ASSAY_RPC_URL.
"""

import asyncio
import json
import os
import sys
import unittest

from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, Web3RPCError

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "contracts", "out")
URL = os.environ["ASSAY_RPC_URL"]
VOLATILITY = os.environ["MODEL_VOLATILITY"]
GROWTH = os.environ["MODEL_GROWTH"]
ROW = [21000, 19000, 17000, -12000, 9000]
ANSWER = 18722712993621826
ONE = 10**18


def artifact(name):
    with open(os.path.join(OUT, f"{name}.sol", f"{name}.json"), encoding="utf-8") as file:
        return json.load(file)


ASK = artifact("Ask")
INFERENCE = artifact("IInference")["abi"]


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.w3 = Web3(Web3.HTTPProvider(URL))
        cls.account = cls.w3.eth.accounts[1]
        factory = cls.w3.eth.contract(abi=ASK["abi"], bytecode=ASK["bytecode"]["object"])
        receipt = cls.sent(factory.constructor().transact({"from": cls.account}))
        cls.ask = cls.w3.eth.contract(receipt.contractAddress, abi=ASK["abi"])
        cls.precompile = cls.w3.eth.contract(Web3.to_checksum_address("0x" + "0a11".rjust(40, "0")), abi=INFERENCE)

    @classmethod
    def sent(cls, transaction):
        return cls.w3.eth.wait_for_transaction_receipt(transaction, timeout=20, poll_latency=0.05)

    def refused(self, function, name, *values):
        """Checks the error's selector and values: web3.py hands custom errors over as data."""
        with self.assertRaises(ContractCustomError) as caught:
            function.call()
        (error,) = [e for e in INFERENCE if e["type"] == "error" and e["name"] == name]
        types = [i["type"] for i in error["inputs"]]
        selector = Web3.keccak(text=f"{name}({','.join(types)})")[:4]
        data = bytes.fromhex(caught.exception.data[2:])
        self.assertEqual(data[:4], selector, name)
        self.assertEqual(self.w3.codec.decode(types, data[4:]), values)

    def test_call_estimate_send_logs_and_stored_answer_agree(self):
        self.assertEqual(self.ask.functions.ask(VOLATILITY, ROW).call(), ANSWER)
        keep = self.ask.functions.keep(VOLATILITY, ROW)
        gas = keep.estimate_gas({"from": self.account})
        receipt = self.sent(keep.transact({"from": self.account, "gas": gas}))
        self.assertEqual(receipt.status, 1)
        (kept,) = self.ask.events.Kept().get_logs(from_block=receipt.blockNumber)
        self.assertEqual(kept.args.answer, ANSWER)
        self.assertEqual(self.ask.functions.last().call(), ANSWER)

    def test_errors_decode_by_name(self):
        predict = self.precompile.functions.predict
        unknown = bytes([0x11]) * 32
        self.refused(predict(unknown, ROW), "UnknownModel", unknown)
        self.refused(self.ask.functions.ask(unknown, ROW), "UnknownModel", unknown)
        self.refused(predict(VOLATILITY, ROW[1:]), "WrongInputCount", 5, 4)
        self.refused(predict(GROWTH, [ONE, 150]), "NotInteger", 1)
        self.refused(predict(GROWTH, [1000 * ONE, 100]), "NonFinite", 0)
        self.refused(predict(GROWTH, [150 * ONE, 100]), "OutOfRange", 0)

    def test_too_little_gas_is_refused_without_data(self):
        with self.assertRaises(Web3RPCError) as caught:
            self.ask.functions.ask(VOLATILITY, ROW).call({"gas": 24_000})
        self.assertIn("gas", str(caught.exception))

    def test_logs_arrive_over_websocket(self):
        async def watch():
            async with AsyncWeb3(WebSocketProvider(URL.replace("http", "ws", 1))) as live:
                topics = [Web3.keccak(text="Kept(bytes32,int256)")]
                await live.eth.subscribe("logs", {"address": self.ask.address, "topics": topics})
                sent = self.ask.functions.keep(VOLATILITY, ROW).transact({"from": self.account})
                async for message in live.socket.process_subscriptions():
                    return sent, message["result"]["transactionHash"]

        sent, announced = asyncio.run(asyncio.wait_for(watch(), 20))
        self.assertEqual(sent, announced)


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False, verbosity=2).result.wasSuccessful())
