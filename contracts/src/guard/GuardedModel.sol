// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../interfaces/IInference.sol";
import {Inference} from "../libraries/Inference.sol";
import {Guardian} from "./Guardian.sol";
import {ModelSwitch} from "./ModelSwitch.sol";
import {Owned} from "./Owned.sol";
import {FieldRule, Rule, Rules} from "./Rules.sol";

/// @notice Says what stands in for an answer that a rule refused.
enum Fallback {
    Revert,
    LastGood,
    Safe,
    LastGoodOrSafe
}

/// @notice Holds what is common to all fields.
/// @param fallbackMode What stands in for a refused answer.
/// @param clamp Whether a change that is too large moves as far as it may, instead of being refused.
/// @param maxAge Seconds a reading stays good.
/// @param reserve Gas the caller needs after a call of a model, on the dearest of its paths.
/// @param shadowGas Most gas one shadow call may be quoted at; a dearer challenger is not run.
struct Policy {
    Fallback fallbackMode;
    bool clamp;
    uint64 maxAge;
    uint128 reserve;
    uint128 shadowGas;
}

/// @notice Collects what a guarded model starts with.
/// @param owner Account that configures.
/// @param guardian Account that may only make things safer.
/// @param champion Model to use.
/// @param schemaHash Schema the contract was written for.
/// @param switchDelay Seconds before a challenger or looser rules take over.
/// @param policy What is common to all fields.
/// @param rules Rules per field: one per column of the model.
struct Setup {
    address owner;
    address guardian;
    Model champion;
    bytes32 schemaHash;
    uint256 switchDelay;
    Policy policy;
    FieldRule[] rules;
}

/// @title Guarded model
/// @notice Keeps a proven answer from doing damage when it is wrong: an answer is used only when every
/// field of it passes every rule, and all fields are used or none.
/// @dev Base contract. Readings are kept per key (a borrower, a pair, zero for a single feed). Every refusal
/// says in an event, or in the revert, which rule fired. Too little gas always reverts: it is never a
/// reason to fall back.
abstract contract GuardedModel is ModelSwitch {
    using Inference for Model;
    using Rules for FieldRule;

    struct Reading {
        uint64 time;
        int256[] values;
    }

    /// @notice A rule refused the answer and the policy is to revert.
    error GuardFired(bytes32 key, Rule rule, uint256 field, bytes reason);
    /// @notice A rule refused the answer and there is no good enough last reading to fall back to.
    error FallbackFailed(bytes32 key, Rule rule, Rule fallbackRule);
    /// @notice The number of rules is not the number of fields.
    error WrongRuleCount(uint256 expected, uint256 got);
    /// @notice The guardian may only tighten a rule.
    error NotTighter(uint256 field);
    /// @notice No looser rules wait.
    error NoRulesWaiting();

    /// @notice A rule fired on a field: `offered` was not used as it was, `used` was (or the field's safe
    /// or last value, see FallbackUsed).
    event RuleFired(bytes32 indexed key, Rule indexed rule, uint256 field, int256 offered, int256 used, bytes reason);
    /// @notice All fields of an answer were taken over.
    event Updated(bytes32 indexed key, Model indexed model, int256[] fields);
    /// @notice Other values stand in for a refused answer.
    event FallbackUsed(bytes32 indexed key, Rule indexed rule, int256[] fields);
    /// @notice The challenger answered, or failed to, beside the champion.
    event ShadowRun(
        bytes32 indexed key,
        Model indexed champion,
        Model indexed challenger,
        int256[] used,
        int256[] shadow,
        bytes reason
    );
    /// @notice The challenger's quote is above the policy's limit: it was not run.
    event ShadowSkipped(Model indexed challenger, uint256 quote);
    /// @notice A rule became stricter.
    event RuleTightened(uint256 indexed field, FieldRule rule, address indexed by);
    /// @notice Other rules wait for the delay.
    event RulesProposed(FieldRule[] rules, uint256 readyAt);
    /// @notice Other rules hold.
    event RulesChanged(FieldRule[] rules);

    /// @notice What is common to all fields.
    Policy public policy;
    /// @notice Time from which the waiting rules may be applied; zero when none wait.
    uint256 public rulesReadyAt;
    FieldRule[] private _rules;
    FieldRule[] private _nextRules;
    mapping(bytes32 key => Reading) private _readings;

    constructor(Setup memory setup)
        Owned(setup.owner)
        Guardian(setup.guardian)
        ModelSwitch(setup.champion, setup.schemaHash, setup.switchDelay)
    {
        policy = setup.policy;
        _store(_rules, setup.rules);
        emit RulesChanged(setup.rules);
    }

    /// @notice Makes one field's rule stricter at once; the guardian may.
    /// @param field Position of the field.
    /// @param rule Rule that allows nothing new and keeps the safe value.
    function tightenRule(uint256 field, FieldRule calldata rule) external onlyGuardian {
        rule.requireSound(field);
        if (!rule.isTighter(_rules[field])) revert NotTighter(field);
        _rules[field] = rule;
        emit RuleTightened(field, rule, msg.sender);
    }

    /// @notice Proposes other rules, which may be looser; they wait like a challenger.
    /// @param rules One per field.
    function proposeRules(FieldRule[] calldata rules) external onlyOwner {
        if (rules.length != _rules.length) revert WrongRuleCount(_rules.length, rules.length);
        _store(_nextRules, rules);
        rulesReadyAt = block.timestamp + switchDelay;
        emit RulesProposed(rules, rulesReadyAt);
    }

    /// @notice Drops the waiting rules; the guardian may.
    function cancelRules() external onlyGuardian {
        if (rulesReadyAt == 0) revert NoRulesWaiting();
        rulesReadyAt = 0;
        emit RulesChanged(_rules);
    }

    /// @notice Applies the waiting rules once their delay has passed.
    function applyRules() external onlyOwner {
        if (rulesReadyAt == 0) revert NoRulesWaiting();
        if (block.timestamp < rulesReadyAt) revert TooEarly(rulesReadyAt);
        rulesReadyAt = 0;
        _store(_rules, _nextRules);
        emit RulesChanged(_rules);
    }

    /// @notice Answers the rules that hold.
    /// @return One per field.
    function fieldRules() external view returns (FieldRule[] memory) {
        return _rules;
    }

    /// @notice Answers the last good reading, however old.
    /// @param key Key of the reading.
    /// @return fields Its fields; empty when there is none.
    /// @return time When it was taken over.
    function lastGood(bytes32 key) public view returns (int256[] memory fields, uint64 time) {
        Reading storage reading = _readings[key];
        return (reading.values, reading.time);
    }

    /// @dev Asks the champion for one row and takes the answer over, or falls back.
    /// @return fields What to use now.
    /// @return fired Rule that kept the answer from being used as it was, or None.
    function _update(bytes32 key, int256[] memory features) internal returns (int256[] memory fields, Rule fired) {
        bytes32[] memory keys = new bytes32[](1);
        keys[0] = key;
        Rule[] memory all;
        (fields, all) = _updateBatch(keys, features);
        fired = all[0];
    }

    /// @dev Asks the champion for one row per key in one call. A typed error fails every row: ask singly
    /// where one bad row must not hold up others.
    /// @return fields What to use now, row after row.
    /// @return fired Rule per row, or None.
    function _updateBatch(bytes32[] memory keys, int256[] memory features)
        internal
        returns (int256[] memory fields, Rule[] memory fired)
    {
        uint256 width = _rules.length;
        fields = new int256[](keys.length * width);
        fired = new Rule[](keys.length);
        bool ok;
        int256[] memory answer;
        bytes memory reason;
        bool asked = !paused;
        if (asked) (ok, answer, reason) = _ask(champion, keys.length, features);

        for (uint256 row; row < keys.length; ++row) {
            int256[] memory used;
            if (!asked) (used, fired[row]) = (_refuse(keys[row], Rule.Paused, 0, 0, ""), Rule.Paused);
            else if (!ok) (used, fired[row]) = (_refuse(keys[row], Rule.CallFailed, 0, 0, reason), Rule.CallFailed);
            else (used, fired[row]) = _judge(keys[row], answer, row, keys.length);
            for (uint256 i; i < width; ++i) {
                fields[row * width + i] = used[i];
            }
        }
        if (asked && Model.unwrap(challenger) != 0) _runShadow(keys[0], keys.length, features, fields);
    }

    /// @dev Answers what to use without asking a model: a fresh reading, or what the policy puts for it.
    function _read(bytes32 key) internal view returns (int256[] memory fields, Rule fired) {
        if (paused) return (_standIn(key, Rule.Paused), Rule.Paused);
        fired = _fitness(key);
        if (fired == Rule.None) return (_readings[key].values, fired);
        return (_standIn(key, fired), fired);
    }

    /// @dev Answers zero when the fields fit each other, else a short name of what does not. Override where
    /// fields depend on each other.
    function _inconsistency(bytes32 key, int256[] memory fields) internal view virtual returns (bytes32 broken) {}

    /// @dev Judges one row and takes it over, all fields or none.
    function _judge(bytes32 key, int256[] memory answer, uint256 row, uint256 rows)
        private
        returns (int256[] memory fields, Rule fired)
    {
        uint256 width = _rules.length;
        if (answer.length != rows * width) {
            return (_refuse(key, Rule.WrongColumnCount, answer.length / rows, 0, ""), Rule.WrongColumnCount);
        }
        Reading storage reading = _readings[key];
        bool clamp = policy.clamp;
        // A reading that is stale, or outside rules that became stricter, is nothing to compare with: else
        // one large true move would be refused for ever.
        bool compare = _fitness(key) == Rule.None;
        fields = new int256[](width);
        for (uint256 i; i < width; ++i) {
            int256 offered = answer[row * width + i];
            FieldRule memory rule = _rules[i];
            Rule broken = rule.bounds(offered);
            if (broken != Rule.None) return (_refuse(key, broken, i, offered, ""), broken);
            fields[i] = offered;
            if (!compare) continue;
            (broken, fields[i]) = rule.change(reading.values[i], offered, block.timestamp - reading.time);
            if (broken == Rule.None) continue;
            if (!clamp) return (_refuse(key, broken, i, offered, ""), broken);
            fired = broken;
            emit RuleFired(key, broken, i, offered, fields[i], "");
        }
        bytes32 why = _inconsistency(key, fields);
        if (why != 0) return (_refuse(key, Rule.Inconsistent, 0, 0, abi.encode(why)), Rule.Inconsistent);
        reading.values = fields;
        reading.time = uint64(block.timestamp);
        emit Updated(key, champion, fields);
    }

    /// @dev Says which rule fired and answers what stands in.
    function _refuse(bytes32 key, Rule rule, uint256 field, int256 offered, bytes memory reason)
        private
        returns (int256[] memory fields)
    {
        if (policy.fallbackMode == Fallback.Revert) revert GuardFired(key, rule, field, reason);
        fields = _standIn(key, rule);
        emit RuleFired(key, rule, field, offered, field < fields.length ? fields[field] : int256(0), reason);
        emit FallbackUsed(key, rule, fields);
    }

    function _standIn(bytes32 key, Rule rule) private view returns (int256[] memory fields) {
        Fallback mode = policy.fallbackMode;
        if (mode == Fallback.Revert) revert GuardFired(key, rule, 0, "");
        // A pause distrusts the model, and with it what the model said last.
        bool wantsLast = (mode == Fallback.LastGood || mode == Fallback.LastGoodOrSafe) && rule != Rule.Paused;
        if (wantsLast) {
            Rule stale = _fitness(key);
            if (stale == Rule.None) return _readings[key].values;
            if (mode == Fallback.LastGood) revert FallbackFailed(key, rule, stale);
        }
        fields = new int256[](_rules.length);
        for (uint256 i; i < fields.length; ++i) {
            fields[i] = _rules[i].safe;
        }
    }

    /// @dev Tells why a reading cannot be used any more, or None: rules may have become stricter since.
    function _fitness(bytes32 key) private view returns (Rule) {
        uint64 time = _readings[key].time;
        if (time == 0) return Rule.NoReading;
        if (block.timestamp - time > policy.maxAge) return Rule.Stale;
        int256[] storage values = _readings[key].values;
        for (uint256 i; i < values.length; ++i) {
            Rule broken = _rules[i].bounds(values[i]);
            if (broken != Rule.None) return broken;
        }
        return Rule.None;
    }

    /// @dev Runs the challenger and records it beside what was used; it can change nothing.
    function _runShadow(bytes32 key, uint256 rows, int256[] memory features, int256[] memory used) private {
        Model model = challenger;
        (bool ok, uint256 quote, bytes memory reason) = model.tryQuoteBatch(rows);
        if (ok && quote > policy.shadowGas) {
            emit ShadowSkipped(model, quote);
            return;
        }
        int256[] memory shadow;
        if (ok) (, shadow, reason) = _ask(model, rows, features);
        emit ShadowRun(key, champion, model, used, shadow, reason);
    }

    function _ask(Model model, uint256 rows, int256[] memory features)
        private
        view
        returns (bool ok, int256[] memory answer, bytes memory reason)
    {
        if (rows == 1) return model.tryPredict(features, policy.reserve);
        return model.tryPredictBatch(rows, features, policy.reserve);
    }

    function _store(FieldRule[] storage target, FieldRule[] memory rules) private {
        while (target.length > rules.length) target.pop();
        for (uint256 i; i < rules.length; ++i) {
            rules[i].requireSound(i);
            if (i < target.length) target[i] = rules[i];
            else target.push(rules[i]);
        }
    }
}
