package campaign

import (
	"errors"
	"fmt"
)

// Config is the operator's part.
type Config struct {
	// MaxBytes is the size of a file at most. Default 1,073,741,824 (1 GiB).
	MaxBytes int64 `toml:"max_bytes"`
	// MaxRows is how many rows a file may have. Default 2,000,000.
	MaxRows int64 `toml:"max_rows"`
	// Workers is how many uploads are checked or released at a time, at most 2 of a tenant. Default 4.
	Workers int `toml:"workers"`
}

func (c *Config) setDefaults() {
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 30
	}
	if c.MaxRows == 0 {
		c.MaxRows = 2_000_000
	}
	if c.Workers == 0 {
		c.Workers = 4
	}
}

// Validate reports all faults. Zero values mean the defaults.
func (c *Config) Validate() error {
	var errs []error
	if c.MaxBytes < 0 || c.MaxBytes > 16<<30 {
		errs = append(errs, fmt.Errorf("max_bytes: must be 1 to 17,179,869,184, not %d", c.MaxBytes))
	}
	if c.MaxRows < 0 || c.MaxRows > 20_000_000 {
		errs = append(errs, fmt.Errorf("max_rows: must be 1 to 20,000,000, not %d", c.MaxRows))
	}
	if c.Workers < 0 || c.Workers > 64 {
		errs = append(errs, fmt.Errorf("workers: must be 1 to 64, not %d", c.Workers))
	}
	return errors.Join(errs...)
}
