"""Payments from files: tables of card payments, read in columns and bounded memory."""

from bezant.interfaces.files.cards import CardBatch, CardFile, KeyIndex
from bezant.interfaces.files.mapping import READY_MAPPINGS, CardMapping, detect_mapping

__all__ = ["READY_MAPPINGS", "CardBatch", "CardFile", "CardMapping", "KeyIndex", "detect_mapping"]
