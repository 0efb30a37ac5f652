//go:build wasip1

package main

// What the host provides. None but tick has a reason to block: requests run side by side, and their answers are asked for.

// hostBegin begins the request that size bytes of JSON at ptr describe, and returns its number, which is not 0.
//
//go:wasmimport litefs_s3 begin
func hostBegin(ptr, size uint32) uint32

// hostPoll returns the number of a request that has been answered, and how many bytes the answer has, as number<<32|bytes; 0 when there is
// none.
//
//go:wasmimport litefs_s3 poll
func hostPoll() uint64

// hostTake copies the answer of a request to ptr, where there is room for all of it, and forgets it.
//
//go:wasmimport litefs_s3 take
func hostTake(id, ptr uint32)

// hostCancel says that nobody wants the answer of a request any more.
//
//go:wasmimport litefs_s3 cancel
func hostCancel(id uint32)

// hostStop is not 0 when the host wants the call that is under way to end.
//
//go:wasmimport litefs_s3 stop
func hostStop() uint32

// hostTick may end the module. The build puts a call of it into every loop, to be made now and then.
//
//go:wasmimport litefs_s3 tick
func hostTick()
