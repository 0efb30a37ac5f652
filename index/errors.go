package index

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrCorrupt: bytes of the replica cannot be right. The message names file and page.
	ErrCorrupt = errors.New("replica is corrupt")
	// ErrNoReplica: there is no LTX file under the prefix.
	ErrNoReplica = errors.New("no replica here")
	// ErrViewExpired: the files that hold this moment of the database were merged or removed, and no others hold it.
	ErrViewExpired = errors.New("view expired")
	// ErrNotReachable: the replica does not hold the database as of the TXID asked for.
	ErrNotReachable = errors.New("transaction is not in the replica")
	// ErrGap: files are missing between two others.
	ErrGap = errors.New("replica has a gap")
	// ErrHistoryChanged: the replica under the prefix was replaced by another one.
	ErrHistoryChanged = errors.New("replica was replaced by another history")
)

// GapError says which transactions are missing.
type GapError struct {
	After TXID // the last transaction that can be reached
	Next  TXID // the first one that a file beyond the gap begins with
}

func (e *GapError) Error() string {
	return fmt.Sprintf("transactions %s to %s are in no file, although later ones are; "+
		"an earlier time can still be opened, and a new snapshot by the writer closes the gap", e.After+1, e.Next-1)
}

// Is makes errors.Is(err, ErrGap) true.
func (e *GapError) Is(target error) bool { return target == ErrGap }

// ReachError says which TXIDs can be opened instead of the one asked for.
type ReachError struct {
	TXID        TXID // asked for
	Before      TXID // the nearest one below that can be opened, or 0
	After       TXID // the nearest one above that can be opened, or 0
	First, Last TXID // the ends of what can be opened
}

func (e *ReachError) Error() string {
	switch {
	case e.Last == 0:
		return fmt.Sprintf("txid %s cannot be opened, nor any other: no file begins with transaction 1", e.TXID)
	case e.TXID > e.Last:
		return fmt.Sprintf("txid %s is not written yet: the last one is %s", e.TXID, e.Last)
	case e.TXID < e.First:
		return fmt.Sprintf("txid %s is no longer kept: the first one is %s", e.TXID, e.First)
	}
	return fmt.Sprintf("txid %s lies inside a merged file: the nearest ones that can be opened are %s and %s",
		e.TXID, e.Before, e.After)
}

// Is makes errors.Is(err, ErrNotReachable) true.
func (e *ReachError) Is(target error) bool { return target == ErrNotReachable }
