"""What the studies share: results and trainings that are kept, proposals, masks, figures."""
