"""Masks from boxes by spatio-temporal consistency (Zhao et al., 2021, "Generating Masks from Boxes
by Mining Spatio-Temporal Consistencies in Videos")."""
