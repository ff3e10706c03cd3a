package link

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Forget drops the links of messages whose content is gone; from then on they are as unknown as one that never was.
func (s *Links) Forget(tokens []string) error {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	b := s.db.NewBatch()
	defer b.Close()
	for _, token := range tokens {
		if err := b.Delete([]byte(token), nil); err != nil {
			return fmt.Errorf("forget links: %w", err)
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("forget links: %w", err)
	}
	s.recent.changed(tokens...)
	return nil
}
