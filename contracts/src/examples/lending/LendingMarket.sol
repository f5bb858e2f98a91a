// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {GuardedModel, Setup} from "../../guard/GuardedModel.sol";
import {Rule} from "../../guard/Rules.sol";
import {FixedPoint} from "../../libraries/FixedPoint.sol";
import {Inference} from "../../libraries/Inference.sol";
import {IERC20, Lock, Tokens} from "../token/Tokens.sol";
import {PriceHistory} from "./PriceHistory.sol";

/// @notice Answers the price of a collateral unit in debt units, at 18 decimals.
interface IPriceSource {
    function price(IERC20 asset) external view returns (uint256);
}

/// @title Lending market
/// @notice Lends one asset against others; how much, a risk model says per borrower and asset.
/// @dev The model reads nothing a borrower could write down freely: features come from positions, the pool
/// and the market's own price history. Its answer, the probability of a liquidation within a day, moves the
/// loan-to-value between two fixed ends, so the worst model can only make this an ordinary market. New
/// loans take only an answer that passed every rule, else they count as the greatest risk; liquidations use
/// the last good answer and never a stand-in, so that a failing model liquidates nobody.
contract LendingMarket is GuardedModel, Lock {
    using FixedPoint for uint256;
    using FixedPoint for int256;
    using Tokens for IERC20;
    using PriceHistory for PriceHistory.History;

    /// @notice One borrower's position in one collateral.
    struct Position {
        uint128 collateral;
        uint128 debtShares;
    }

    /// @notice What a borrower did here before.
    struct Record {
        uint64 repaidAt;
        uint32 liquidations;
    }

    /// @notice The asset is not accepted as collateral.
    error NotCollateral(IERC20 asset);
    /// @notice The debt would exceed what the collateral allows.
    error OverLimit(uint256 debt, uint256 limit);
    /// @notice The position is healthy.
    error Healthy(uint256 debt, uint256 limit);
    /// @notice The pool does not hold that much.
    error NoLiquidity(uint256 available, uint256 wanted);
    /// @notice The amount is zero or does not fit.
    error BadAmount(uint256 amount);
    /// @notice A price of zero, or one that does not fit, is no price.
    error BadPrice(IERC20 asset, uint256 price);

    event Supplied(address indexed lender, uint256 amount, uint256 shares);
    event Withdrawn(address indexed lender, uint256 amount, uint256 shares);
    event CollateralAdded(address indexed borrower, IERC20 indexed asset, uint256 amount);
    event CollateralRemoved(address indexed borrower, IERC20 indexed asset, uint256 amount);
    event Borrowed(address indexed borrower, IERC20 indexed asset, uint256 amount, int256 risk, Rule rule);
    event Repaid(address indexed borrower, IERC20 indexed asset, uint256 amount);
    event Liquidated(
        address indexed borrower, IERC20 indexed asset, address indexed by, uint256 repaid, uint256 seized
    );
    event BadDebt(address indexed borrower, IERC20 indexed asset, uint256 amount);

    uint256 internal constant ONE = 1e18;
    /// @notice Loan-to-value at no risk.
    uint256 public constant MAX_LTV = 0.8e18;
    /// @notice Loan-to-value at the greatest risk.
    uint256 public constant MIN_LTV = 0.4e18;
    /// @notice How far above the loan-to-value a position may drift before it is liquidated.
    uint256 public constant BUFFER = 0.05e18;
    /// @notice What a liquidator gains on what it repays.
    uint256 public constant BONUS = 0.06e18;
    /// @notice Interest per second, about 5% a year.
    uint256 public constant RATE = 1_585_489_599;
    /// @notice Number of features of the model.
    uint256 public constant FEATURES = 6;
    /// @dev Value of one at the scale of the model's ratios, 6 decimals.
    int256 private constant RATIO = 1e6;
    /// @dev The interest of a year at that scale.
    int256 private constant YEARLY_RATE = int256(RATE * 365 days / 1e12);
    /// @dev Health of a position without debt, and the greatest the model is told.
    int256 private constant GREATEST_HEALTH = 100 * RATIO;

    /// @notice Asset that is lent.
    IERC20 public immutable debtAsset;
    /// @notice Source of prices.
    IPriceSource public immutable prices;

    mapping(IERC20 asset => PriceHistory.History) private _histories;
    mapping(IERC20 asset => bool) public isCollateral;
    mapping(address borrower => mapping(IERC20 asset => Position)) public positions;
    mapping(address borrower => Record) public records;
    mapping(address lender => uint256) public supplyShares;
    uint256 public totalSupplyShares;
    uint256 public totalDebtShares;
    uint256 public totalDebt;
    uint256 public cash;
    uint256 public accruedAt;

    constructor(Setup memory setup, IERC20 debtAsset_, IPriceSource prices_, IERC20[] memory collaterals)
        GuardedModel(setup)
    {
        debtAsset = debtAsset_;
        prices = prices_;
        accruedAt = block.timestamp;
        for (uint256 i; i < collaterals.length; ++i) {
            isCollateral[collaterals[i]] = true;
        }
    }

    /// @notice Lends to the pool.
    /// @param amount Amount of the debt asset.
    /// @return shares Shares of the pool.
    function supply(uint256 amount) external locked returns (uint256 shares) {
        accrue();
        // One virtual share and unit: the first lender cannot inflate the price of a share.
        shares = amount * (totalSupplyShares + 1) / (cash + totalDebt + 1);
        if (shares == 0) revert BadAmount(amount);
        supplyShares[msg.sender] += shares;
        totalSupplyShares += shares;
        cash += amount;
        emit Supplied(msg.sender, amount, shares);
        debtAsset.pull(msg.sender, amount);
    }

    /// @notice Takes back from the pool.
    /// @param shares Shares to give up.
    /// @return amount Amount of the debt asset.
    function withdraw(uint256 shares) external locked returns (uint256 amount) {
        accrue();
        amount = shares * (cash + totalDebt + 1) / (totalSupplyShares + 1);
        if (amount > cash) revert NoLiquidity(cash, amount);
        supplyShares[msg.sender] -= shares;
        totalSupplyShares -= shares;
        cash -= amount;
        emit Withdrawn(msg.sender, amount, shares);
        debtAsset.push(msg.sender, amount);
    }

    /// @notice Adds collateral.
    /// @param asset Collateral.
    /// @param amount Amount.
    function addCollateral(IERC20 asset, uint256 amount) external locked {
        if (!isCollateral[asset]) revert NotCollateral(asset);
        positions[msg.sender][asset].collateral += _narrow(amount);
        emit CollateralAdded(msg.sender, asset, amount);
        asset.pull(msg.sender, amount);
    }

    /// @notice Takes collateral out, as far as the model's limit on the rest allows.
    /// @param asset Collateral.
    /// @param amount Amount.
    function removeCollateral(IERC20 asset, uint256 amount) external locked {
        accrue();
        positions[msg.sender][asset].collateral -= _narrow(amount);
        if (positions[msg.sender][asset].debtShares != 0) _requireWithinLimit(msg.sender, asset);
        emit CollateralRemoved(msg.sender, asset, amount);
        asset.push(msg.sender, amount);
    }

    /// @notice Borrows; the model is asked with the position as it will be.
    /// @param asset Collateral to borrow against.
    /// @param amount Amount of the debt asset.
    function borrow(IERC20 asset, uint256 amount) external locked {
        accrue();
        if (amount == 0) revert BadAmount(amount);
        if (amount > cash) revert NoLiquidity(cash, amount);
        uint256 shares = _ceilDiv(amount * (totalDebtShares + 1), totalDebt + 1);
        positions[msg.sender][asset].debtShares += _narrow(shares);
        totalDebtShares += shares;
        totalDebt += amount;
        cash -= amount;
        (int256 risk, Rule rule) = _requireWithinLimit(msg.sender, asset);
        emit Borrowed(msg.sender, asset, amount, risk, rule);
        debtAsset.push(msg.sender, amount);
    }

    /// @notice Pays debt back; more than the debt pays just the debt.
    /// @param asset Collateral of the debt.
    /// @param amount Amount of the debt asset.
    /// @return paid What was taken.
    function repay(IERC20 asset, uint256 amount) external locked returns (uint256 paid) {
        accrue();
        paid = _reduceDebt(msg.sender, asset, amount);
        records[msg.sender].repaidAt = uint64(block.timestamp);
        emit Repaid(msg.sender, asset, paid);
        debtAsset.pull(msg.sender, paid);
    }

    /// @notice Asks the model anew for many positions in one call.
    /// @param borrowers Borrowers.
    /// @param assets Their collaterals.
    /// @return risks Risk to use per position.
    /// @return rules Rule that fired per position, or None.
    function rescore(address[] calldata borrowers, IERC20[] calldata assets)
        external
        locked
        returns (int256[] memory risks, Rule[] memory rules)
    {
        if (borrowers.length == 0 || borrowers.length != assets.length) revert BadAmount(assets.length);
        accrue();
        bytes32[] memory keys = new bytes32[](borrowers.length);
        int256[] memory features = new int256[](borrowers.length * FEATURES);
        for (uint256 i; i < borrowers.length; ++i) {
            keys[i] = positionKey(borrowers[i], assets[i]);
            _writeFeatures(borrowers[i], assets[i], features, i * FEATURES);
        }
        return _updateBatch(keys, features);
    }

    /// @notice Repays an unhealthy position's debt for collateral at a bonus.
    /// @param borrower Borrower.
    /// @param asset Collateral.
    /// @param amount Most to repay.
    /// @return paid What was taken.
    /// @return seized Collateral given.
    function liquidate(address borrower, IERC20 asset, uint256 amount)
        external
        locked
        returns (uint256 paid, uint256 seized)
    {
        accrue();
        uint256 debt = debtOf(borrower, asset);
        uint256 limit = liquidationLimit(borrower, asset);
        if (debt <= limit) revert Healthy(debt, limit);
        uint256 price = _price(asset);
        uint256 held = positions[borrower][asset].collateral;
        if (amount > debt) amount = debt;
        seized = amount * (ONE + BONUS) / price;
        if (seized > held) {
            // Not enough collateral: the liquidator pays for what there is, lenders bear the rest.
            seized = held;
            amount = _ceilDiv(held * price, ONE + BONUS);
            if (amount > debt) amount = debt;
        }
        paid = _reduceDebt(borrower, asset, amount);
        positions[borrower][asset].collateral -= uint128(seized);
        ++records[borrower].liquidations;
        emit Liquidated(borrower, asset, msg.sender, paid, seized);
        if (positions[borrower][asset].collateral == 0) _writeOff(borrower, asset);
        debtAsset.pull(msg.sender, paid);
        asset.push(msg.sender, seized);
    }

    /// @notice Writes the price of an asset into the market's own history; anybody may, once an hour.
    /// @param asset Collateral.
    function observe(IERC20 asset) external {
        if (!isCollateral[asset]) revert NotCollateral(asset);
        _histories[asset].observe(_price(asset));
    }

    /// @notice Adds the interest since the last call.
    function accrue() public {
        uint256 elapsed = block.timestamp - accruedAt;
        if (elapsed == 0) return;
        accruedAt = block.timestamp;
        totalDebt += totalDebt * RATE * elapsed / ONE;
    }

    /// @notice Answers the key of a position's reading.
    /// @param borrower Borrower.
    /// @param asset Collateral.
    /// @return Key.
    function positionKey(address borrower, IERC20 asset) public pure returns (bytes32) {
        return keccak256(abi.encode(borrower, asset));
    }

    /// @notice Answers a position's debt as of the last accrual.
    /// @param borrower Borrower.
    /// @param asset Collateral.
    /// @return Debt, rounded up.
    function debtOf(address borrower, IERC20 asset) public view returns (uint256) {
        return _ceilDiv(uint256(positions[borrower][asset].debtShares) * (totalDebt + 1), totalDebtShares + 1);
    }

    /// @notice Answers the debt from which a position may be liquidated.
    /// @dev From the last good answer. Without a fresh one the most lenient limit holds: a model that fails
    /// or is paused liquidates nobody whom an ordinary market would not.
    /// @param borrower Borrower.
    /// @param asset Collateral.
    /// @return Greatest healthy debt.
    function liquidationLimit(address borrower, IERC20 asset) public view returns (uint256) {
        (int256[] memory fields, uint64 time) = lastGood(positionKey(borrower, asset));
        bool fresh = !paused && time != 0 && block.timestamp - time <= policy.maxAge;
        uint256 ltv = fresh ? ltvAt(fields[0]) : MAX_LTV;
        return _value(positions[borrower][asset].collateral, _price(asset)) * (ltv + BUFFER) / ONE;
    }

    /// @notice Answers the loan-to-value at a risk.
    /// @param risk Risk from 0 to 1, at 18 decimals; beyond counts as the nearest.
    /// @return Loan-to-value at 18 decimals.
    function ltvAt(int256 risk) public pure returns (uint256) {
        uint256 bounded = risk.clamp(0, int256(ONE)).toUint();
        return MAX_LTV - (MAX_LTV - MIN_LTV) * bounded / ONE;
    }

    /// @notice Answers the row the model gets for a position.
    /// @param borrower Borrower.
    /// @param asset Collateral.
    /// @return row Features in schema order.
    function featuresOf(address borrower, IERC20 asset) public view returns (int256[] memory row) {
        row = new int256[](FEATURES);
        _writeFeatures(borrower, asset, row, 0);
    }

    /// @dev Schema order: health_factor, loan_to_value, collateral_volatility (a day's), collateral_return_1d,
    /// borrow_rate (a year's), each at 6 decimals; days_since_repayment, whole, missing before the first.
    function _writeFeatures(address borrower, IERC20 asset, int256[] memory rows, uint256 at) private view {
        uint256 debt = debtOf(borrower, asset);
        uint256 price = _price(asset);
        uint256 value = _value(positions[borrower][asset].collateral, price);
        (uint256 volatility, int256 dayReturn) = _histories[asset].measure(price);
        uint64 repaidAt = records[borrower].repaidAt;
        rows[at] = _health(debt, value);
        rows[at + 1] = value == 0 ? int256(0) : _ratio(debt, value);
        rows[at + 2] = _ratio(volatility, ONE);
        rows[at + 3] = dayReturn / 1e12;
        rows[at + 4] = YEARLY_RATE;
        rows[at + 5] = repaidAt == 0 ? Inference.MISSING : int256((block.timestamp - repaidAt) / 1 days);
    }

    /// @dev How often the debt fits into what the most lenient limit allows.
    function _health(uint256 debt, uint256 value) private pure returns (int256) {
        if (debt == 0) return GREATEST_HEALTH;
        return _ratio(value * (MAX_LTV + BUFFER) / ONE, debt).clamp(0, GREATEST_HEALTH);
    }

    /// @dev A quotient at 6 decimals.
    function _ratio(uint256 part, uint256 whole) private pure returns (int256) {
        return (part * uint256(RATIO) / whole).fromUint();
    }

    function _requireWithinLimit(address borrower, IERC20 asset) private returns (int256 risk, Rule rule) {
        int256[] memory fields;
        (fields, rule) = _update(positionKey(borrower, asset), featuresOf(borrower, asset));
        // A new loan takes no answer that a rule had to change: it then counts as the greatest risk.
        risk = rule == Rule.None ? fields[0] : int256(ONE);
        uint256 debt = debtOf(borrower, asset);
        uint256 limit = _value(positions[borrower][asset].collateral, _price(asset)) * ltvAt(risk) / ONE;
        if (debt > limit) revert OverLimit(debt, limit);
    }

    function _reduceDebt(address borrower, IERC20 asset, uint256 amount) private returns (uint256 paid) {
        Position storage position = positions[borrower][asset];
        uint256 debt = debtOf(borrower, asset);
        uint256 shares = position.debtShares;
        paid = amount;
        if (amount >= debt) paid = debt;
        else shares = amount * (totalDebtShares + 1) / (totalDebt + 1);
        if (paid == 0 || shares == 0) revert BadAmount(amount);
        position.debtShares -= uint128(shares);
        totalDebtShares -= shares;
        // Rounding up may ask for one unit more than the sum of all debts.
        totalDebt = paid > totalDebt ? 0 : totalDebt - paid;
        cash += paid;
    }

    /// @dev A position without collateral is never repaid: lenders bear it now, not the last to leave.
    function _writeOff(address borrower, IERC20 asset) private {
        Position storage position = positions[borrower][asset];
        if (position.debtShares == 0) return;
        uint256 debt = debtOf(borrower, asset);
        totalDebtShares -= position.debtShares;
        position.debtShares = 0;
        totalDebt = debt > totalDebt ? 0 : totalDebt - debt;
        emit BadDebt(borrower, asset, debt);
    }

    function _price(IERC20 asset) private view returns (uint256 price) {
        price = prices.price(asset);
        if (price == 0 || price > type(uint96).max) revert BadPrice(asset, price);
    }

    function _value(uint256 amount, uint256 price) private pure returns (uint256) {
        return amount * price / ONE;
    }

    function _narrow(uint256 amount) private pure returns (uint128) {
        if (amount == 0 || amount > type(uint128).max) revert BadAmount(amount);
        return uint128(amount);
    }

    function _ceilDiv(uint256 a, uint256 b) private pure returns (uint256) {
        return a == 0 ? 0 : (a - 1) / b + 1;
    }
}
