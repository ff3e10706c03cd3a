package store

import "errors"

var (
	// ErrNotFound: no such stream or name, or outside the scope: the two cannot be told apart.
	ErrNotFound = errors.New("not found")
	// ErrBusy: the coordinator's queue is full; try again later (HTTP 429/503).
	ErrBusy = errors.New("store is busy")
	// ErrFull: too little free space to accept new work (HTTP 507). Changes to existing streams still pass, and what is recorded of them.
	ErrFull = errors.New("store is short of disk space")
	// ErrClosed: the store is closing or has failed.
	ErrClosed = errors.New("store is closed")
	// ErrErased: the data key of this content has been destroyed at the end of its retention.
	ErrErased = errors.New("content has been erased")
)
