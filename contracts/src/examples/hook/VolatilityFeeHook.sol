// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {GuardedModel, Setup} from "../../guard/GuardedModel.sol";
import {FixedPoint} from "../../libraries/FixedPoint.sol";
import {Observations} from "./Observations.sol";
import {IHooks} from "@uniswap/v4-core/src/interfaces/IHooks.sol";
import {IPoolManager} from "@uniswap/v4-core/src/interfaces/IPoolManager.sol";
import {Hooks} from "@uniswap/v4-core/src/libraries/Hooks.sol";
import {LPFeeLibrary} from "@uniswap/v4-core/src/libraries/LPFeeLibrary.sol";
import {StateLibrary} from "@uniswap/v4-core/src/libraries/StateLibrary.sol";
import {BeforeSwapDelta, BeforeSwapDeltaLibrary} from "@uniswap/v4-core/src/types/BeforeSwapDelta.sol";
import {PoolId, PoolIdLibrary} from "@uniswap/v4-core/src/types/PoolId.sol";
import {PoolKey} from "@uniswap/v4-core/src/types/PoolKey.sol";
import {SwapParams} from "@uniswap/v4-core/src/types/PoolOperation.sol";

/// @title Volatility fee hook
/// @notice Sets a pool's swap fee from a volatility model that is fed by the pool's own past.
/// @dev A sample is the tick before the first swap after each interval, so no swap moves the sample it is
/// charged by. The model is asked once a day, when the first swap after midnight closes the day before; the
/// other swaps use the guarded answer. A model that fails costs swappers the safe fee and never stops a swap.
contract VolatilityFeeHook is GuardedModel {
    using FixedPoint for int256;
    using Observations for Observations.History;
    using PoolIdLibrary for PoolKey;
    using StateLibrary for IPoolManager;

    /// @notice Only the pool manager calls hooks.
    error NotPoolManager(address caller);
    /// @notice The pool must have been created with the dynamic fee flag.
    error NotDynamicFee(uint24 fee);

    /// @notice A day of the pool's history was closed.
    event DayClosed(PoolId indexed pool, uint64 days_);
    /// @notice A closed day changed the fee of the pool.
    event FeeSet(PoolId indexed pool, uint24 fee, int256 volatility);

    /// @notice Fee at no volatility, in hundredths of a basis point.
    uint24 public constant MIN_FEE = 500;
    /// @notice Greatest fee.
    uint24 public constant MAX_FEE = 10_000;
    /// @notice Fee that a volatility of one adds: 0.3% more at 3% a day.
    uint256 public constant SLOPE = 100_000;

    /// @notice Manager of the pools.
    IPoolManager public immutable poolManager;

    mapping(PoolId pool => Observations.History) private _histories;

    modifier onlyPoolManager() {
        if (msg.sender != address(poolManager)) revert NotPoolManager(msg.sender);
        _;
    }

    constructor(Setup memory setup, IPoolManager poolManager_) GuardedModel(setup) {
        poolManager = poolManager_;
        Hooks.validateHookPermissions(IHooks(address(this)), permissions());
    }

    /// @notice Starts the history of a pool.
    /// @param key Pool; must have a dynamic fee.
    /// @param tick Tick of the starting price.
    /// @return Selector of this function.
    function afterInitialize(address, PoolKey calldata key, uint160, int24 tick)
        external
        onlyPoolManager
        returns (bytes4)
    {
        if (!LPFeeLibrary.isDynamicFee(key.fee)) revert NotDynamicFee(key.fee);
        _histories[key.toId()].start(tick);
        return IHooks.afterInitialize.selector;
    }

    /// @notice Samples the pool when it is time, asks the model when a day is over, and sets the swap's fee.
    /// @param key Pool.
    /// @return Selector of this function, no delta, and the fee with the override flag.
    function beforeSwap(address, PoolKey calldata key, SwapParams calldata, bytes calldata)
        external
        onlyPoolManager
        returns (bytes4, BeforeSwapDelta, uint24)
    {
        PoolId pool = key.toId();
        (, int24 tick,,) = poolManager.getSlot0(pool);
        uint24 fee;
        if (_histories[pool].sample(tick)) {
            emit DayClosed(pool, _histories[pool].count);
            if (_histories[pool].isFull()) fee = _ask(pool);
        }
        if (fee == 0) fee = currentFee(pool);
        return (IHooks.beforeSwap.selector, BeforeSwapDeltaLibrary.ZERO_DELTA, fee | LPFeeLibrary.OVERRIDE_FEE_FLAG);
    }

    /// @notice Answers the fee of the next swap that closes no day.
    /// @param pool Pool.
    /// @return Fee in hundredths of a basis point.
    function currentFee(PoolId pool) public view returns (uint24) {
        (int256[] memory fields,) = _read(PoolId.unwrap(pool));
        return feeAt(fields[0]);
    }

    /// @notice Answers the row the model gets: volatility_1d, volatility_5d, volatility_22d, return_1d,
    /// abs_return_5d, as fractions at 6 decimals.
    /// @param pool Pool.
    /// @return Features in schema order.
    function featuresOf(PoolId pool) public view returns (int256[] memory) {
        return _histories[pool].features();
    }

    /// @notice Answers the fee at a volatility.
    /// @param volatility Expected volatility of the next day as a fraction, at 18 decimals.
    /// @return Fee in hundredths of a basis point.
    function feeAt(int256 volatility) public pure returns (uint24) {
        uint256 fee = MIN_FEE + volatility.clamp(0, 1e18).toUint() * SLOPE / 1e18;
        return fee > MAX_FEE ? MAX_FEE : uint24(fee);
    }

    /// @notice Answers what the hook's address must permit.
    /// @return wanted After initialize and before swap.
    function permissions() public pure returns (Hooks.Permissions memory wanted) {
        wanted.afterInitialize = true;
        wanted.beforeSwap = true;
    }

    function _ask(PoolId pool) private returns (uint24 fee) {
        (int256[] memory fields,) = _update(PoolId.unwrap(pool), featuresOf(pool));
        fee = feeAt(fields[0]);
        emit FeeSet(pool, fee, fields[0]);
    }
}
